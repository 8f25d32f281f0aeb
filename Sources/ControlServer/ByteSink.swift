import NIOCore

/// Appends to memory whose size was computed beforehand; writing past it is a programming error and traps.
struct ByteSink {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    /// Bytes a 64-bit number takes at most, its sign included.
    static let decimalBytes = 20

    init(_ memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    mutating func put(_ bytes: UnsafeRawBufferPointer) {
        precondition(count + bytes.count <= memory.count, "a reply was larger than computed")
        guard let base = memory.baseAddress, let source = bytes.baseAddress else { return }
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func put(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { put($0) }
    }

    mutating func put(_ text: StaticString) {
        put(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func put(decimal value: UInt64) {
        precondition(count + Self.decimalBytes <= memory.count, "a reply was larger than computed")
        var digits = 1
        var power: UInt64 = 10
        while digits < Self.decimalBytes, value >= power {
            digits += 1
            let (next, overflow) = power.multipliedReportingOverflow(by: 10)
            if overflow { break }
            power = next
        }
        var rest = value
        for index in stride(from: count + digits - 1, through: count, by: -1) {
            memory[index] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        count += digits
    }
}

extension Duration {
    /// Whole milliseconds; a negative duration counts as none.
    var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) * 1000 + UInt64(attoseconds / 1_000_000_000_000_000)
    }
}

extension ByteBuffer {
    /// Appends what `body` puts into the sink, for which room for `size` bytes is made.
    mutating func write(atMost size: Int, _ body: (inout ByteSink) -> Void) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
            var sink = ByteSink(memory)
            body(&sink)
            return sink.count
        }
    }
}
