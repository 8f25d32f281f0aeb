import Glibc

/// Cuts what a module prints on standard error into lines of bounded length. Pure.
struct LogLines {
    private let limit: Int
    private var line: [UInt8] = []
    private var isCut = false

    init(limit: Int = ModuleLimits.logLineBytes) {
        self.limit = limit
    }

    /// Hands every line that `bytes` complete to `body`; what exceeds the limit is left out and marked.
    mutating func append(_ bytes: UnsafeRawBufferPointer, _ body: (String) -> Void) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let start = rest.startIndex
            // By `memchr`, because a module may print megabytes and one thread serves all of them.
            let feed = UnsafeRawBufferPointer(rebasing: rest).firstFeed
            let end = feed.map { start + $0 } ?? rest.endIndex
            let room = limit - line.count
            line.append(contentsOf: rest[start..<min(end, start + room)])
            if end - start > room { isCut = true }
            if feed != nil { finish(body) }
            rest = rest[min(end + 1, rest.endIndex)...]
        }
    }

    /// Hands over a last line that no line feed ended.
    mutating func finish(_ body: (String) -> Void) {
        if !line.isEmpty { body(Self.printable(line) + (isCut ? " …" : "")) }
        line.removeAll(keepingCapacity: true)
        isCut = false
    }

    /// The text with control characters replaced, so that a module cannot write lines of its own into the log.
    static func printable(_ bytes: some Collection<UInt8>) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return String(
            String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? " " : $0 }))
    }

    /// A module's text fit for messages: bounded and on one line.
    static func printable(_ text: String) -> String {
        printable(text.utf8.prefix(ModuleLimits.logLineBytes))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            || scalar == "\u{2028}" || scalar == "\u{2029}"
    }
}

extension UnsafeRawBufferPointer {
    /// Offset of the first line feed.
    fileprivate var firstFeed: Int? {
        guard let base = baseAddress, let found = memchr(base, 0x0A, count) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}

/// Lets a burst through and then so many a second. Pure.
struct RateLimit {
    private let burst: Double
    private let perSecond: Double
    private var tokens: Double
    private var refilledAt: ContinuousClock.Instant
    private var refused = 0

    init(burst: Int, perSecond: Int, at now: ContinuousClock.Instant) {
        self.burst = Double(burst)
        self.perSecond = Double(perSecond)
        tokens = Double(burst)
        refilledAt = now
    }

    /// Nil when this one must be left out, otherwise how many were left out before it.
    mutating func admit(at now: ContinuousClock.Instant) -> Int? {
        let elapsed = refilledAt.duration(to: now) / .seconds(1)
        tokens = min(burst, tokens + max(0, elapsed) * perSecond)
        refilledAt = now
        guard tokens >= 1 else {
            refused += 1
            return nil
        }
        tokens -= 1
        defer { refused = 0 }
        return refused
    }
}
