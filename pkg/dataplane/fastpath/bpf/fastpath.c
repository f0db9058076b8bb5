// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

// The fast path: packets of established connections between a pod and anybody, handed from the device they come in by to the one they
// leave by, past the host's stack. Whatever is not known for certain to need nothing of that stack is left to it.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// TCX_NEXT lets the packet go on its ordinary way.
#define ORDINARY (-1)
#define FAMILY_INET6 10
// Of Linux 6.4; an older kernel refuses it, and everything goes the ordinary way.
#define FIB_LOOKUP_SKIP_NEIGH (1U << 2)

// pod is what stands behind an address: the host's end of its wire, and the Ethernet addresses on it.
struct pod {
	__u32 ifindex;
	__u8 mac[ETH_ALEN];
	__u8 gateway[ETH_ALEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct in6_addr);
	__type(value, struct pod);
} pods SEC(".maps");

// uplink is the one interface that packets may leave the node by; 0 is none.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} uplink SEC(".maps");

// What is used of the kernel's types; where it lies is found out when the program is loaded.
struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size, struct bpf_ct_opts *opts,
					 __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;

// Bits of enum ip_conntrack_status.
#define SEEN_REPLY (1UL << 1)
#define NAT (1UL << 4 | 1UL << 5)
#define SEQ_ADJUST (1UL << 6)
#define DYING (1UL << 9)
#define HELPER (1UL << 13)

// transport is the beginning of a TCP header, and as far as ports go of a UDP header.
struct transport {
	__be16 source, dest;
	__be32 seq, ack;
	__u8 offset, flags;
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

// settled says whether the packet belongs to a connection that the firewall has let pass in both directions, and that is not translated. The
// packets that begin or end a connection are not settled: connection tracking has to see them.
static __always_inline int settled(struct __sk_buff *skb, struct ipv6hdr *ip)
{
	struct transport *l4 = (void *)(ip + 1);
	struct bpf_ct_opts opts = { .netns_id = -1 /* the device's own */, .l4proto = ip->nexthdr };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *ct;
	unsigned long status;

	// A UDP header is shorter, and a datagram may be empty.
	if ((void *)l4 + 8 > (void *)(long)skb->data_end)
		return 0;
	if (ip->nexthdr == IPPROTO_TCP) {
		if ((void *)(l4 + 1) > (void *)(long)skb->data_end)
			return 0;
		if (l4->flags & (TCP_SYN | TCP_FIN | TCP_RST))
			return 0;
	} else if (ip->nexthdr != IPPROTO_UDP) { // extension headers, fragments, ICMPv6
		return 0;
	}
	__builtin_memcpy(tuple.ipv6.saddr, &ip->saddr, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, &ip->daddr, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.sport = l4->source;
	tuple.ipv6.dport = l4->dest;
	ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	if (!ct)
		return 0;
	status = ct->status;
	bpf_ct_release(ct);
	return (status & (SEEN_REPLY | NAT | SEQ_ADJUST | DYING | HELPER)) == SEEN_REPLY;
}

// parse returns the IPv6 header of a packet that may be forwarded: one whose hop limit allows it.
static __always_inline struct ipv6hdr *parse(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	struct ipv6hdr *ip = (void *)(eth + 1);

	if (skb->protocol != bpf_htons(ETH_P_IPV6) || (void *)(ip + 1) > (void *)(long)skb->data_end)
		return 0;
	if (skb->pkt_type != 0 /* to this host */ || skb->vlan_present /* to another device of it */ || ip->hop_limit <= 1)
		return 0;
	return ip;
}

// fits says whether the packet, or each segment of it, passes the interface.
static __always_inline int fits(struct __sk_buff *skb, __u32 ifindex)
{
	__u32 mtu = 0;

	return bpf_check_mtu(skb, ifindex, &mtu, 0, BPF_MTU_CHK_SEGS) == 0;
}

// hop takes one from the hop limit, with the checksum that a network card may have computed over the packet.
static __always_inline int hop(struct __sk_buff *skb, __u8 limit)
{
	limit--;
	return bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, hop_limit), &limit, sizeof(limit), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int deliver(struct __sk_buff *skb, struct ipv6hdr *ip, struct pod *to)
{
	__u8 limit = ip->hop_limit;

	if (!fits(skb, to->ifindex) || hop(skb, limit) ||
	    bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_dest), to->mac, 2 * ETH_ALEN, 0))
		return ORDINARY;
	return bpf_redirect_peer(to->ifindex, 0);
}

static __always_inline int leave(struct __sk_buff *skb, struct ipv6hdr *ip)
{
	struct bpf_fib_lookup route = { .family = FAMILY_INET6, .l4_protocol = ip->nexthdr, .ifindex = skb->ifindex };
	struct bpf_redir_neigh next = { .nh_family = FAMILY_INET6 };
	__u8 limit = ip->hop_limit;
	__u32 zero = 0, *out;

	// With the flow label, so that a route of several next hops chooses the one that the stack does.
	route.flowinfo = *(__be32 *)ip & bpf_htonl(0x0fffffff);
	__builtin_memcpy(route.ipv6_src, &ip->saddr, sizeof(route.ipv6_src));
	__builtin_memcpy(route.ipv6_dst, &ip->daddr, sizeof(route.ipv6_dst));
	if (bpf_fib_lookup(skb, &route, sizeof(route), FIB_LOOKUP_SKIP_NEIGH) != BPF_FIB_LKUP_RET_SUCCESS)
		return ORDINARY;
	out = bpf_map_lookup_elem(&uplink, &zero);
	if (!out || *out == 0 || *out != route.ifindex || !fits(skb, route.ifindex) || hop(skb, limit))
		return ORDINARY;
	__builtin_memcpy(next.ipv6_nh, route.ipv6_dst, sizeof(next.ipv6_nh));
	return bpf_redirect_neigh(route.ifindex, &next, sizeof(next), 0);
}

// from_pod sees what comes out of a pod. Only what bears that pod's address passes.
SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct ipv6hdr *ip = parse(skb);
	struct pod *from, *to;

	if (!ip)
		return ORDINARY;
	from = bpf_map_lookup_elem(&pods, &ip->saddr);
	if (!from || from->ifindex != skb->ifindex || !settled(skb, ip))
		return ORDINARY;
	to = bpf_map_lookup_elem(&pods, &ip->daddr);
	if (to)
		return deliver(skb, ip, to);
	return leave(skb, ip);
}

// from_uplink sees what comes to the node.
SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct ipv6hdr *ip = parse(skb);
	struct pod *to;

	if (!ip)
		return ORDINARY;
	to = bpf_map_lookup_elem(&pods, &ip->daddr);
	if (!to || !settled(skb, ip))
		return ORDINARY;
	return deliver(skb, ip, to);
}

// The kernel's functions for connection tracking are open to programs of this licence only.
char LICENSE[] SEC("license") = "GPL";
