# Read by CMake while it sets up llama.cpp: see .cargo/config.toml.
# Leaves out llama.cpp's library for command-line programs (argument parsing, an HTTP client, chat templates), of which
# nothing is used: 20,000 lines of C++ and a third of llama.cpp's build time. The crate has a feature for that, but the crate
# between it and us always switches it on.
set(LLAMA_BUILD_COMMON OFF)
