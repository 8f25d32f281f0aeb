import Glibc

import struct Synchronization.Atomic

/// Standard output and standard error.
///
/// What came from the daemon is cleaned before it reaches a terminal: a reason typed by somebody else must not move the
/// cursor or change its colours.
enum Output {
    private static let closed = Atomic<Bool>(false)
    private static let ended = Atomic<Bool>(false)
    private static let writing = Atomic<Bool>(false)

    /// Whether the reader of standard output has gone, as `head` does.
    static var isClosed: Bool { closed.load(ordering: .relaxed) }

    static let isTerminal = isatty(STDOUT_FILENO) == 1
    static let isErrorTerminal = isatty(STDERR_FILENO) == 1

    /// Prints a line, cleaned.
    static func line(_ text: String) { self.text(clean(text) + "\n") }

    /// Prints what the daemon says, which may have several lines.
    static func message(_ text: String) { self.text(lines(text).joined(separator: "\n") + "\n") }

    /// Prints text as it is; nothing after ``end(with:)``.
    static func text(_ text: String) {
        writing.store(true, ordering: .sequentiallyConsistent)
        defer { writing.store(false, ordering: .sequentiallyConsistent) }
        guard !ended.load(ordering: .sequentiallyConsistent) else { return }
        if !write(text, to: STDOUT_FILENO) { closed.store(true, ordering: .relaxed) }
    }

    /// Prints the last words, from any thread: whatever the others still have to say is not printed.
    ///
    /// Waits a moment for what is being written, and no longer, because a terminal may hold that up for ever.
    static func end(with text: String) {
        ended.store(true, ordering: .sequentiallyConsistent)
        for _ in 0..<100 where writing.load(ordering: .sequentiallyConsistent) {
            var pause = timespec(tv_sec: 0, tv_nsec: 1_000_000)
            nanosleep(&pause, nil)
        }
        _ = write(text, to: STDOUT_FILENO)
    }

    /// Prints a message to standard error, cleaned.
    static func error(_ text: String) { errorText(lines(text).joined(separator: "\n") + "\n") }

    /// Prints to standard error as it is.
    static func errorText(_ text: String) { _ = write(text, to: STDERR_FILENO) }

    /// The lines of a message, each cleaned. All but the first are indented, so that none of them passes for a message of its own.
    static func lines(_ text: String) -> [String] {
        let lines = text.split(whereSeparator: \.isNewline)
        return lines.enumerated().map { index, line in
            index == 0 ? clean(String(line)) : "  " + clean(String(line.drop { $0 == " " }))
        }
    }

    /// Text without control characters, each replaced by a question mark.
    static func clean(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { out.append(isControl(scalar) ? "?" : scalar) }
        return String(out)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            || (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }

    /// False when nobody reads any more.
    private static func write(_ text: String, to handle: Int32) -> Bool {
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(handle, $0.baseAddress.map { $0 + start }, bytes.count - start)
            }
            if count >= 0 {
                start += count
            } else if errno == EAGAIN {
                var ready = pollfd(fd: handle, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }
}

/// The terminal behind standard output.
enum Terminal {
    /// Columns and rows; 80 by 24 where the terminal does not tell.
    static var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
        else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Whether colour is wanted: a terminal that can, and nobody who said no.
    static let hasColour =
        Output.isTerminal && Environment.value("NO_COLOR") == nil
        && Environment.value("TERM").map { $0 != "dumb" } ?? false

    static let showAlternate = "\u{1B}[?1049h\u{1B}[?25l"
    static let leaveAlternate = "\u{1B}[?25h\u{1B}[?1049l"
    static let clear = "\u{1B}[H\u{1B}[2J"
    static let eraseLine = "\r\u{1B}[K"
}
