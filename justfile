# A menu of the plain commands; nothing depends on just being installed.

# Compiles everything, with the lints
check:
    cargo clippy --workspace --all-targets -- -D warnings

# Formats the code
fmt:
    cargo fmt --all

# Runs every Rust test
test:
    cargo test --workspace

# Checks the rules of the house that no compiler checks
tidy:
    cargo test -p flumen-tools --test tidy

# Starts a broker that creates topics as they are named
dev:
    cargo run --release -- dev

# Runs other people's clients against the broker
interop *arguments:
    interop/run {{arguments}}

# Runs the benchmarks
bench:
    cargo bench --workspace

# Opens the documentation
doc:
    cargo doc --workspace --no-deps --open

# Runs what decides whether a change lands
ci:
    .ci/run
