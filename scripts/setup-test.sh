#!/usr/bin/env bash
# Installs what the tests need beside the build: the official clients they drive the server with.
. "$(dirname "$0")/lib.sh"

command -v node >/dev/null || install_packages nodejs npm
python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
install_packages openssl
command -v chromium >/dev/null || install_packages chromium

clients=tests/clients
# Debian's redis-server is a link to a program of redis-tools and a service: the tests need the first without the second.
if ! command -v redis-server >/dev/null && [ ! -x $clients/redis/redis-server ]; then
  install_packages redis-tools
  mkdir -p $clients/redis
  ln -sf "$(command -v redis-check-rdb)" $clients/redis/redis-server
fi
# The clients want a newer Node than Debian 12 has: then one from npm, used by nobody else.
export PATH="$PWD/$clients/node/node_modules/node/bin:$PATH"
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)'; then
  npm install --prefix $clients/node --silent --no-audit --no-fund --no-save node@22.21.0
fi
# Frameworks want other versions of the same packages than OpenAI's own library: each folder has its own.
for folder in $clients $clients/frameworks $clients/schemathesis $clients/voice_agents $clients/wyoming; do
  python=$folder/.venv/bin/python
  if ! $python -m pip --version >/dev/null 2>&1; then python3 -m venv $folder/.venv; fi
  if ! cmp -s $folder/requirements.txt $folder/.venv/installed; then
    $python -m pip install --quiet --disable-pip-version-check -r $folder/requirements.txt
    cp $folder/requirements.txt $folder/.venv/installed
  fi
done
# wyoming-openai asks for Python 3.12 because of type parameters (`def task[T](...)`), and Debian 12 has 3.11. They mean
# nothing to a program that runs, so they are taken out. What it needs itself stands in requirements.txt and is installed
# above, because `--ignore-requires-python` would also choose versions of these that do not run here.
wyoming=$clients/wyoming/.venv
package=wyoming-openai==0.8.0
if [ "$(cat $wyoming/adapted 2>/dev/null)" != $package ]; then
  $wyoming/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python $package
  if ! $wyoming/bin/python -c 'import wyoming_openai' 2>/dev/null; then
    sed -i -E '1i from __future__ import annotations
s/^( *(async )?def \w+)\[[^]]*\]\(/\1(/' $wyoming/lib/python3*/site-packages/wyoming_openai/*.py
  fi
  echo $package >$wyoming/adapted
fi
if ! cmp -s $clients/package-lock.json $clients/node_modules/.installed; then
  (cd $clients && npm ci --silent --no-audit --no-fund)
  cp $clients/package-lock.json $clients/node_modules/.installed
fi
