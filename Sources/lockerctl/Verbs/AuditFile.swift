import ControlClient
import Glibc
import JSONLines

/// The file behind `audit --verify --file`: an entry a line, as `audit --json` prints them.
enum AuditFile {
    /// Longest line that is read, in bytes; an entry has a few hundred.
    private static let limit = 1 << 20

    @MainActor
    static func check(_ path: String) throws(Failure) -> AuditCheck {
        let handle = open(path, O_RDONLY | O_CLOEXEC)
        guard handle >= 0 else { throw unreadable(path) }
        defer { close(handle) }
        var check = AuditCheck()
        var framer = LineFramer(limit: limit)
        var line = 0
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let got = bytes.withUnsafeMutableBytes { read(handle, $0.baseAddress, $0.count) }
            guard got >= 0 || errno == EINTR else { throw unreadable(path) }
            // The last line may lack its line feed.
            framer.append(got == 0 ? [0x0A] : Array(bytes[..<max(got, 0)]))
            try take(&framer, &line, path, into: &check)
            if got == 0 { break }
        }
        guard check.count > 0 else {
            throw Failure(.failed, "\(path) holds no entry of an audit, which proves nothing")
        }
        check.end(head: nil)
        return check
    }

    private static func take(
        _ framer: inout LineFramer, _ line: inout Int, _ path: String, into check: inout AuditCheck
    ) throws(Failure) {
        var outcome = LineFramer.Outcome.line
        while outcome == .line {
            var problem: String?
            outcome = framer.nextLine { bytes in
                line += 1
                guard !bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else { return }
                do {
                    let json = try JSONReader.parse(bytes)
                    check.add(try AuditEntry(json, text: "", at: "entry"))
                } catch let error as JSONSyntaxError {
                    problem = "this is not JSON: \(error)"
                } catch {
                    problem = "this is no entry of an audit: \(error)"
                }
            }
            if outcome == .overlong { problem = "it is longer than \(limit) bytes" }
            if let problem {
                throw Failure(
                    .failed,
                    "the audit is not intact: line \(line + (outcome == .overlong ? 1 : 0)): \(problem)"
                )
            }
        }
    }

    private static func unreadable(_ path: String) -> Failure {
        Failure(.usage, "file \(path) cannot be read: \(Advice.words(for: errno))")
    }
}
