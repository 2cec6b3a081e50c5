# Two commands: `make run` and `make test`. The others are for working on Antiphon.
.PHONY: run test build models fmt bench attack config-pages emotion-model clean
SHELL := /bin/bash
ANTIPHON := target/release/antiphon

run: build models
	@exec $(ANTIPHON) serve $(ARGS)

build:
	@scripts/setup-build.sh
	@cargo build --release --locked

models: build
	@$(ANTIPHON) models pull

test:
	@scripts/test.sh

fmt:
	@cargo fmt --all

bench:
	@cargo bench -p antiphon-audio
	@cargo bench -p antiphon-server --bench density

# Attacks a server of its own while people talk to it, and prints the worst that happened to one of them.
attack: build models
	@cargo bench --locked -p antiphon-server --bench attack

# Writes the example file and the reference page of the configuration anew, from the declarations of its keys.
config-pages: build
	@$(ANTIPHON) config example > antiphon.example.toml
	@$(ANTIPHON) config reference > docs/configuration.md

# Trains the weights of emotion anew and prints how good they are.
emotion-model: models
	@cargo run --release --locked -p antiphon-providers --example train_emotion -- \
	  crates/providers/assets/emotion/weights.bin target/emotion-vectors.cache

clean:
	@cargo clean
