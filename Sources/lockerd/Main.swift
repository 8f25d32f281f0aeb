import ArgumentParser
import Glibc

/// The program's name and version, as `--version`, the control socket and beats show it.
enum Version {
    static let number = "0.1.0"
}

@main
struct Main {
    static func main() async {
        // A client or a module may leave while something is being written to it.
        signal(SIGPIPE, SIG_IGN)
        await LockerdCommand.main()
    }
}
