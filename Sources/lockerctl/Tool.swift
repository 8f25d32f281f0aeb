import Dispatch
import Glibc
import JSONLines
import SiteConfig

/// A driver's tool that runs beside the daemon, as a program of its own: it is told what to do in one line of JSON and tells
/// what happens in others.
struct Tool {
    let shelf: ProfileShelf
    private let word: String

    /// - Parameter config: the config folder, for the site's own board profiles.
    init(_ word: String, of driver: String, config: String) throws(Failure) {
        self.word = word
        do throws(ProfileShelf.Missing) {
            shelf = try ProfileShelf(
                of: driver, directory: config, moduleDirectories: ModuleFolders.besideProgram)
        } catch {
            throw Failure(.failed, error.description)
        }
    }

    /// Runs the tool to its end; `take` is given everything it tells, and returns a line to answer with, if any. Throws what it
    /// failed with.
    @MainActor
    func run(_ request: JSONObject, _ take: (JSON) -> String?) async throws(Failure) {
        let (input, output) = (try Pipe(), try Pipe())
        let child = try spawn(input, output)
        close(input.reading)
        close(output.writing)
        var request = request
        request["boards"] = .object(shelf.profiles)
        let line = JSON.object(request).encoded + [UInt8(ascii: "\n")]
        DispatchQueue(label: "lockerctl.tool.input").async {
            var sent = 0
            while sent < line.count {
                let count = line.withUnsafeBytes { bytes in
                    bytes.baseAddress.map { write(input.writing, $0 + sent, bytes.count - sent) }
                        ?? -1
                }
                guard count > 0 else { break }
                sent += count
            }
        }
        defer { close(input.writing) }
        var last: JSON?
        for await event in events(from: output.reading) {
            last = event
            guard let answer = take(event) else { continue }
            let bytes = Array((answer + "\n").utf8)
            _ = write(input.writing, bytes, bytes.count)
        }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        if last?["event"]?.stringValue == "done" { return }
        let message = last?["message"]?.stringValue
        throw Failure(
            .failed, message ?? "\(shelf.program) ended without a word (status \(status))")
    }

    private struct Pipe {
        let reading: Int32
        let writing: Int32

        init() throws(Failure) {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }) else {
                throw Failure(.failed, "no pipe to the driver's tool can be made")
            }
            (reading, writing) = (ends[0], ends[1])
        }
    }

    private func spawn(_ input: Pipe, _ output: Pipe) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input.reading, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output.writing, STDOUT_FILENO)
        var arguments = [strdup(shelf.program), strdup(word), nil]
        defer { arguments.forEach { free($0) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, shelf.program, &actions, nil, &arguments, environ)
        guard code == 0 else {
            throw Failure(
                .failed, "\(shelf.program) cannot be started: \(String(cString: strerror(code)))")
        }
        return child
    }

    /// The lines that come, read on a thread of their own.
    private func events(from handle: Int32) -> AsyncStream<JSON> {
        AsyncStream { continuation in
            DispatchQueue(label: "lockerctl.tool.output").async {
                var framer = LineFramer(limit: 1 << 20)
                var bytes = [UInt8](repeating: 0, count: 65_536)
                while true {
                    let count = read(handle, &bytes, bytes.count)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { break }
                    framer.append(Array(bytes[..<count]))
                    while case .line = framer.nextLine({ line in
                        if let event = try? JSONReader.parse(String(decoding: line, as: UTF8.self))
                        {
                            continuation.yield(event)
                        }
                    }) {}
                }
                close(handle)
                continuation.finish()
            }
        }
    }
}
