import Glibc
import JSONLines
import ModuleWire

/// Reads the core's lines with blocking calls; runs on a thread of its own.
struct ModuleInput {
    /// Why nothing more is read.
    enum Ending: Sendable, Equatable {
        /// The core closed its end, or died.
        case endOfFile
        /// A byte came on the wake descriptor: a signal, or an output that is broken.
        case told
        /// A line over the limit: where the next one begins cannot be known.
        case overlong
        /// The core sends requests and does not read the replies.
        case unread
        case failed(errno: Int32)
    }

    let descriptor: Int32
    /// Read end of a pipe; a byte in it ends the reading.
    let wake: Int32

    /// Hands over every line until the end; `line` returns false to end it too.
    func read(_ line: (UnsafeRawBufferPointer) -> Bool) -> Ending {
        var framer = LineFramer(limit: ModuleProtocol.lineLimit)
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            if let ending = waitForInput() { return ending }
            let count = chunk.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count == 0 { return .endOfFile }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                // A peer that died with our replies unread resets the connection.
                return errno == ECONNRESET ? .endOfFile : .failed(errno: errno)
            }
            chunk.withUnsafeBytes { framer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            var wantsMore = true
            reading: while wantsMore {
                switch framer.nextLine({ wantsMore = line($0) }) {
                case .line: continue
                case .needsMore: break reading
                case .overlong: return .overlong
                }
            }
            if !wantsMore { return .unread }
        }
    }

    private func waitForInput() -> Ending? {
        while true {
            var waiting = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&waiting, nfds_t(waiting.count), -1)
            if ready < 0 {
                if errno == EINTR { continue }
                return .failed(errno: errno)
            }
            if waiting[1].revents != 0 { return .told }
            if waiting[0].revents != 0 { return nil }
        }
    }
}
