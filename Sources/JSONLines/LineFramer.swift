/// Cuts a byte stream into lines that end with a line feed, and never holds more than its limit.
///
/// Pure: bytes go in, lines come out. Both wires use it, at both ends.
package struct LineFramer: Sendable {
    /// What the stream yielded.
    package enum Outcome: Equatable, Sendable {
        /// A line was handed to the body.
        case line
        /// The bytes so far end inside a line.
        case needsMore
        /// A line is longer than the limit. The framer yields nothing more: where the next line begins is not known
        /// before its line feed comes, and a peer that breaks the limit once is not waited for.
        case overlong
    }

    /// Longest line in bytes, its line feed not counted.
    package let limit: Int

    private var buffer: [UInt8] = []
    private var start = 0
    private var scanned = 0
    private var isBroken = false

    package init(limit: Int) {
        self.limit = limit
    }

    /// Bytes that belong to a line whose end has not come.
    package var pendingBytes: Int { buffer.count - start }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard !isBroken else { return }
        if start > 0, start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 4 * limit)
            start = 0
            scanned = 0
        } else if start > limit {
            buffer.removeFirst(start)
            scanned -= start
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    package mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Hands the next whole line to `body`, without its line feed and without a carriage return before it.
    package mutating func nextLine(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows
        -> Outcome
    {
        guard !isBroken else { return .overlong }
        while scanned < buffer.count, buffer[scanned] != 0x0A { scanned += 1 }
        guard scanned < buffer.count else {
            if pendingBytes > limit { return breakOff() }
            return .needsMore
        }
        var end = scanned
        if end > start, buffer[end - 1] == 0x0D { end -= 1 }
        guard end - start <= limit else { return breakOff() }
        let range = start..<end
        start = scanned + 1
        scanned = start
        try buffer.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
        return .line
    }

    private mutating func breakOff() -> Outcome {
        isBroken = true
        buffer = []
        start = 0
        scanned = 0
        return .overlong
    }
}
