// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package planview

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Measures of the picture, in pixels. It is a drawing, not to scale: no screen shows 2^64.
const (
	svgWidth = 1000
	margin   = 32
	inner    = svgWidth - 2*margin
	barH     = 46
	zoomH    = 34
	cells    = 16
)

// palette of one range: fill, a stronger fill, stroke and text.
type palette struct{ light, strong, stroke, text string }

var palettes = map[string]palette{
	"nodes":    {"#e8f0fe", "#bcd2fb", "#3b6fd8", "#1b3f8b"},
	"pods":     {"#e3f6ec", "#9fe0bf", "#1f9d63", "#0d5c38"},
	"services": {"#f1e9fd", "#d6c0f8", "#8250df", "#4b2a8f"},
}

const (
	ink  = "#1f2430"
	soft = "#687083"
	sans = "font-family=\"'Helvetica Neue',Helvetica,Arial,sans-serif\""
	mono = "font-family=\"'DejaVu Sans Mono',Menlo,Consolas,monospace\""
)

// canvas collects the picture from the top down.
type canvas struct {
	b strings.Builder
	y int
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

func (c *canvas) rect(x, y, w, h int, fill, stroke, extra string) {
	fmt.Fprintf(&c.b, `<rect x="%d" y="%d" width="%d" height="%d" rx="4" fill="%s" stroke="%s" %s/>`+"\n", x, y, w, h, fill, stroke, extra)
}

func (c *canvas) text(x, y, size int, font, fill, anchor, s string) {
	fmt.Fprintf(&c.b, `<text x="%d" y="%d" font-size="%d" %s fill="%s" text-anchor="%s">%s</text>`+"\n", x, y, size, font, fill, anchor, escape(s))
}

func (c *canvas) bold(x, y, size int, fill, s string) {
	fmt.Fprintf(&c.b, `<text x="%d" y="%d" font-size="%d" font-weight="bold" %s fill="%s">%s</text>`+"\n", x, y, size, sans, fill, escape(s))
}

// SVG writes the view as a picture: a bar a range, with what is published inside what is reserved, divided among the nodes, and
// one node's prefix drawn out below with the part that its pods get. Name is the Shoot's, "" if it has none.
func SVG(w io.Writer, name string, v View) error {
	c := &canvas{y: 44}
	title := "Address plan"
	if name != "" {
		title += " of " + name
	}
	c.bold(margin, c.y, 21, ink, title)
	subtitle := strings.Join(v.IPFamilies, " and ")
	if v.NodeCIDRMaskSizeIPv6 != 0 {
		subtitle += "  ·  node mask /" + strconv.Itoa(v.NodeCIDRMaskSizeIPv6)
	}
	c.text(svgWidth-margin, c.y, 14, sans, soft, "end", subtitle)
	c.y += 20
	for _, r := range v.Ranges {
		c.drawRange(r)
	}
	c.drawWarnings(v.Warnings)
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">
<rect x="0" y="0" width="%d" height="%d" fill="#ffffff" stroke="none"/>
%s</svg>
`, svgWidth, c.y+16, svgWidth, c.y+16, escape(title), svgWidth, c.y+16, c.b.String())
	return err
}

func (c *canvas) drawRange(r Range) {
	p := palettes[r.Name]
	c.y += 34
	c.bold(margin, c.y, 16, p.text, r.Name)
	asked := r.Asked
	if asked == "" {
		asked = "not given"
	}
	c.text(margin+86, c.y, 15, mono, ink, "start", asked)
	c.y += 12
	for i, f := range r.Families {
		if i > 0 {
			c.y += 8
		}
		c.drawFamily(r.Name, p, f)
	}
}

// drawFamily draws the bar of one family.
func (c *canvas) drawFamily(name string, p palette, f Family) {
	c.y += 18
	c.text(margin, c.y, 12, sans, soft, "start", f.Family+": "+source(f)+from(f.IPAM))
	c.text(svgWidth-margin, c.y, 12, sans, soft, "end", publication(name, f))
	c.y += 7
	top, width := c.y, inner
	c.y += barH
	dash := ""
	if f.Source == Custom || f.Source == Nodes {
		dash = `stroke-dasharray="5 4"`
	}
	c.rect(margin, top, inner, barH, p.light, p.stroke, dash)
	if f.Source == Nodes {
		c.text(margin+inner/2, top+barH/2+5, 14, sans, p.text, "middle", "no range of their own: a part of each node's prefix, as drawn above")
		return
	}
	if f.Source == Reserved && f.PublishedBits > f.ReservedBits {
		width = inner * 3 / 10
		c.text(margin+width+(inner-width)/2, top+barH/2+5, 13, sans, soft, "middle", "reserved with it, not used")
	}
	label := "/" + strconv.Itoa(f.PublishedBits)
	switch {
	case f.Published != "":
		label = f.Published
	case f.PublishedBits == 0:
		label = "somebody else's"
	}
	if f.PerNode == nil {
		if f.Source != Custom {
			c.rect(margin+4, top+4, width-8, barH-8, p.strong, p.stroke, "")
		}
		c.text(margin+width/2, top+barH/2+5, 14, mono, p.text, "middle", label)
		return
	}
	c.drawNodes(p, f, top, label)
}

// drawNodes divides a bar among nodes and draws one node's part out below it.
func (c *canvas) drawNodes(p palette, f Family, top int, label string) {
	const labelW, shown, cellW = 236, 5, 112
	c.text(margin+14, top+barH/2+5, 14, mono, p.text, "start", label)
	x := margin + labelW
	all := f.PerNode.PodBits == f.PerNode.PrefixBits
	for i := range shown {
		fill, text := p.strong, "node "+strconv.Itoa(i+1)
		if all {
			fill = palettes["pods"].strong
			text = "pods of node " + strconv.Itoa(i+1)
		}
		c.rect(x, top+6, cellW-6, barH-12, fill, p.stroke, "")
		c.text(x+(cellW-6)/2, top+barH/2+5, 12, sans, p.text, "middle", text)
		x += cellW
	}
	c.text(x+8, top+barH/2+5, 14, sans, p.text, "start", "…")
	c.text(svgWidth-margin-12, top+barH/2+5, 12, sans, soft, "end", "/"+strconv.Itoa(f.PerNode.PrefixBits)+" each")
	if n := count(f.PerNode.NodesLog2, "node", ""); n != "" {
		c.y += 17
		c.text(svgWidth-margin, c.y, 12, sans, soft, "end", "room for "+n+perPods(f.PerNode, all))
	}
	if all || f.PerNode.PodBits == 0 {
		return
	}
	// The second node stands for all of them.
	from := margin + labelW + cellW
	c.drawNode(p, f.PerNode, from, from+cellW-6, top+barH-6)
}

func perPods(p *PerNode, all bool) string {
	if pods := count(p.PodsLog2, "pod", " each"); all && pods != "" {
		return ", " + pods
	}
	return ""
}

// drawNode draws one node's prefix with its children, the pods' one among them. Left, right and top are where it comes from.
func (c *canvas) drawNode(p palette, n *PerNode, left, right, top int) {
	pods := palettes["pods"]
	c.y += 22
	fmt.Fprintf(&c.b, `<path d="M %d %d L %d %d L %d %d L %d %d Z" fill="%s" fill-opacity="0.5" stroke="none"/>`+"\n",
		left, top, right, top, svgWidth-margin, c.y, margin, c.y, p.strong)
	c.rect(margin, c.y, inner, zoomH, "#ffffff", p.stroke, "")
	width := inner / cells
	chosen := n.PodChild
	if chosen < 0 {
		chosen = cells - 1
	}
	exact := n.PodBits-n.PrefixBits == 4
	for i := range cells {
		x := margin + i*width
		w := width
		if i == cells-1 {
			w = inner - i*width
		}
		text := ""
		if exact {
			text = strconv.FormatInt(int64(i), 16)
		}
		if i == chosen {
			c.rect(x+2, c.y+2, w-4, zoomH-4, pods.strong, pods.stroke, "")
			c.text(x+w/2, c.y+zoomH/2+5, 13, sans, pods.text, "middle", strings.TrimSpace(text+" pods"))
			continue
		}
		if i == 0 {
			c.rect(x+2, c.y+2, w-4, zoomH-4, p.light, p.stroke, "")
			text = strings.TrimSpace(text + " node")
		}
		c.text(x+w/2, c.y+zoomH/2+5, 12, mono, soft, "middle", text)
	}
	c.y += zoomH + 17
	c.text(margin, c.y, 12, sans, soft, "start", "one node's /"+strconv.Itoa(n.PrefixBits))
	c.text(svgWidth-margin, c.y, 12, sans, pods.text, "end", "its pods: "+join(child(n), count(n.PodsLog2, "pod", "")))
}

func (c *canvas) drawWarnings(ws []Warning) {
	if len(ws) > 0 {
		c.y += 18
	}
	for _, w := range ws {
		lines := wrap(w.Range+": "+w.Message, 130)
		h := 14 + 17*len(lines)
		c.y += 8
		c.rect(margin, c.y, inner, h, "#fff6e0", "#d9a21b", "")
		for i, line := range lines {
			c.text(margin+14, c.y+20+17*i, 13, sans, "#6b4e00", "start", line)
		}
		c.y += h
	}
}

// wrap breaks a text into lines of at most width characters, at blanks.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
