#!/usr/bin/env bash
# Installs what the build needs. Does nothing, and needs no network, when all is there.
. "$(dirname "$0")/lib.sh"

command -v cargo >/dev/null || {
  echo "Rust is not installed: install it (rustup), then run this again" >&2
  exit 1
}
# llama.cpp is C++ built by cmake; its bindings are made with libclang.
install_packages g++ cmake make libclang-dev pkg-config
# Models come as Python packages. Any Python with pip will do.
python3 -m pip --version >/dev/null 2>&1 || pip3 --version >/dev/null 2>&1 || install_packages python3 python3-pip
