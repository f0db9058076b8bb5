#!/bin/sh
# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

# Compiles the programs that run in the kernel. With "check" it compares them with what is committed instead, if this machine has clang.
# Compilers differ, so the comparison is of the instructions by the version that made the committed object.
# Needs: clang and llvm 14 or newer, libbpf-dev, linux-libc-dev.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
dir=$here/pkg/dataplane/fastpath/bpf
compile() {
	# Within the folder, so that no path of this machine gets into the object.
	(cd "$dir" && clang -O2 -g -Wall -Werror -target bpfel -mcpu=v3 -I"/usr/include/$(uname -m)-linux-gnu" -fdebug-compilation-dir=. \
		-c fastpath.c -o "$1")
	llvm-strip -g "$1"
}
code() { llvm-objdump -d --section=tc "$1" | sed 1,3d; }

if [ "${1:-}" != check ]; then
	compile "$dir/fastpath.o"
	clang --version | head -n 1 >"$dir/compiler"
	exit
fi
if ! clang --version 2>/dev/null | head -n 1 | cmp -s - "$dir/compiler"; then
	echo "LEFT OUT: the comparison of $dir/fastpath.o with its source needs $(cat "$dir/compiler")" >&2
	exit
fi
new=$(mktemp -d)
trap 'rm -r "$new"' EXIT
compile "$new/fastpath.o"
code "$dir/fastpath.o" >"$new/committed"
code "$new/fastpath.o" >"$new/compiled"
cmp "$new/committed" "$new/compiled" || {
	echo "$dir/fastpath.o is not what its source says: run hack/bpf.sh" >&2
	exit 1
}
