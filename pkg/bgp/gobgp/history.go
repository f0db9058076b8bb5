// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// history of the sessions, by the peer's address with its zone. GoBGP's events have neither the zone nor the reason, so that its
// messages are read. It calls while it holds locks of its own: nothing here may call GoBGP.
type history struct {
	mu       sync.Mutex
	sessions map[string]*past
	// changed is called when a session has come up or gone down, rearm when peers may have to be told of a restart (see Speaker.rearm).
	changed, rearm func()
	// ready is called when GoBGP is ready for a connection with a peer.
	ready func(peer string)
}

// past of a session.
type past struct {
	since  time.Time
	ends   uint64
	reason string
	// broken: the connection ended without a word, so that the peer may keep our routes.
	broken bool
	// unprotected is why the socket that listens does not ask the peer for its password, if so.
	unprotected error
}

func newHistory(changed, rearm func(), ready func(peer string)) *history {
	return &history{sessions: map[string]*past{}, changed: changed, rearm: rearm, ready: ready}
}

// begin following a peer.
func (h *history) begin(peer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[peer] = &past{since: time.Now()}
}

// forget a peer.
func (h *history) forget(peer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, peer)
}

// of a peer; the zero value if it is not followed.
func (h *history) of(peer string) past {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.sessions[peer]; p != nil {
		return *p
	}
	return past{}
}

// message of GoBGP's log.
func (h *history) message(msg string, fields log.Fields) {
	if msg == "sync finished" {
		h.rearm()
		return
	}
	peer, ok := fields["Key"].(string)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.sessions[peer]
	if p == nil {
		return
	}
	switch msg {
	case "Peer Up":
		p.since = time.Now()
		return // its state is another one only when it has "changed"
	case "Peer Down":
		p.since, p.reason = time.Now(), endOf(fields["Reason"], p.reason)
		p.ends++
		if p.broken = fields["Reason"] == graceful; p.broken {
			h.rearm()
		}
		return
	case "state changed":
		if fields["new"] == packet.BGP_FSM_ACTIVE.String() {
			h.ready(peer)
		}
		if up := packet.BGP_FSM_ESTABLISHED.String(); fields["new"] != up && fields["old"] != up {
			return
		}
	case "sent notification":
		p.reason = "this node ended the session: " + notificationOf(fields)
		return
	case "received notification":
		p.reason = "the peer ended the session: " + notificationOf(fields)
		return
	case "failed to set md5":
		p.unprotected, _ = fields["Err"].(error)
		return
	case "failed to connect":
		p.reason = connectOf(fields["Error"])
		return
	default:
		return
	}
	h.changed()
}

// graceful is GoBGP's reason for an end without a word, where both ends do graceful restart.
const graceful = "graceful-restart"

// endOf an established session, in words. A notification has been told of just before.
func endOf(reason any, before string) string {
	text := fmt.Sprint(reason)
	switch {
	case strings.HasPrefix(text, "notification-") && before != "":
		return before
	case text == "hold-timer-expired":
		return "nothing was heard of the peer for the hold time"
	case text == "read-failed", text == "write-failed":
		return "the connection was closed or broke"
	case text == graceful:
		return "the connection was closed or broke; the peer may be restarting"
	case text == "dying":
		return "this node ended the session: it is to be another one, or none"
	}
	return text
}

func notificationOf(fields log.Fields) string {
	if e, ok := fields["Data"].(*packet.MessageError); ok {
		text := packet.NewNotificationErrorCode(e.TypeCode, e.SubTypeCode).String()
		if e.Message != "" {
			text += ": " + e.Message
		}
		return text
	}
	code, _ := fields["Code"].(uint8)
	subcode, _ := fields["Subcode"].(uint8)
	text := packet.NewNotificationErrorCode(code, subcode).String()
	if said, _ := fields["Communicated-Reason"].(string); said != "" {
		text += fmt.Sprintf(" (%q)", said)
	}
	return text
}

// connectOf says why there is no connection.
func connectOf(reason any) string {
	err, ok := reason.(error)
	if !ok {
		return "no connection"
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer: is the address right, the way there, and the password, if there is one?"
	}
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	return "no connection: " + err.Error()
}
