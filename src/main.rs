//! Entry point: everything is in the library, so that tests link what users run.

fn main() -> std::process::ExitCode {
    appliance::cli::main()
}
