/// Whether a line repeats what is sent; nil while nobody knows.
final class LineNature { var repeats: Bool? }

/// What came back after a request, without the request itself where the line repeats what is sent.
///
/// Many two-wire adapters hear themselves. On boards whose answer to an order can be the order once more, a heard order is not an
/// answer: it would be a success that no board had anything to do with.
struct Heard {
    private let request: [UInt8]
    private let repeats: Bool?
    private var raw: [UInt8] = []

    init(request: [UInt8], repeats: Bool?) {
        self.request = request
        self.repeats = repeats
    }

    mutating func append(_ bytes: ArraySlice<UInt8>) { raw += bytes }

    var count: Int { raw.count }

    /// The bytes to look for an answer in. Until it is known that the line does not repeat what is sent, the first copy of the
    /// request is taken for that.
    var bytes: [UInt8] {
        guard repeats != false, let start = copy else { return raw }
        return Array(raw[..<start] + raw[(start + request.count)...])
    }

    /// Where the first copy of the request begins.
    private var copy: Int? {
        raw.indices.first { raw[$0...].starts(with: request) }
    }

    /// Nothing came but what was sent.
    var isEmpty: Bool { bytes.isEmpty }

    /// Whether the line repeated the request.
    var repeatsRequest: Bool { copy != nil }

    /// The bytes as people compare them, the first few of them.
    var text: String {
        let few = bytes.prefix(16).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0\(digits)" : digits
        }
        return few.joined(separator: " ") + (bytes.count > few.count ? " …" : "")
    }
}
