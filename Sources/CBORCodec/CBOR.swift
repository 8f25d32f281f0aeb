/// A value of CBOR (RFC 8949), as far as towers use it: no floating point, no tags, and maps whose keys are integers.
package indirect enum CBOR: Hashable, Sendable {
    case int(Int64)
    case bytes([UInt8])
    case text(String)
    case array([CBOR])
    case map([Int64: CBOR])
    case bool(Bool)
    case null

    package var intValue: Int64? { if case .int(let value) = self { value } else { nil } }
    package var bytesValue: [UInt8]? { if case .bytes(let value) = self { value } else { nil } }
    package var textValue: String? { if case .text(let value) = self { value } else { nil } }
    package var arrayValue: [CBOR]? { if case .array(let value) = self { value } else { nil } }
    package var mapValue: [Int64: CBOR]? { if case .map(let value) = self { value } else { nil } }
    package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
}

extension CBOR {
    /// Its only form: core deterministic encoding (RFC 8949, section 4.2.1).
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .int(let value):
            Self.head(value < 0 ? .negative : .unsigned, Self.argument(of: value), &bytes)
        case .bytes(let value):
            Self.head(.bytes, UInt64(value.count), &bytes)
            bytes += value
        case .text(let value):
            Self.head(.text, UInt64(value.utf8.count), &bytes)
            bytes += value.utf8
        case .array(let values):
            Self.head(.array, UInt64(values.count), &bytes)
            for value in values { value.append(to: &bytes) }
        case .map(let values):
            Self.head(.map, UInt64(values.count), &bytes)
            // Bytewise order of their encodings: from 0 up, and then from -1 down.
            for (key, value) in values.sorted(by: { Self.isBefore($0.key, $1.key) }) {
                CBOR.int(key).append(to: &bytes)
                value.append(to: &bytes)
            }
        case .bool(let value): bytes.append(value ? 0xF5 : 0xF4)
        case .null: bytes.append(0xF6)
        }
    }

    static func isBefore(_ one: Int64, _ other: Int64) -> Bool {
        (one < 0) == (other < 0) ? argument(of: one) < argument(of: other) : one >= 0
    }

    private static func argument(of value: Int64) -> UInt64 {
        value < 0 ? UInt64(bitPattern: ~value) : UInt64(value)
    }

    private static func head(_ type: MajorType, _ argument: UInt64, _ bytes: inout [UInt8]) {
        let size =
            switch argument {
            case ..<24: 0
            case ...0xFF: 1
            case ...0xFFFF: 2
            case ...0xFFFF_FFFF: 4
            default: 8
            }
        let additional: UInt8 =
            switch size {
            case 0: UInt8(argument)
            case 1: 24
            case 2: 25
            case 4: 26
            default: 27
            }
        bytes.append(type.rawValue << 5 | additional)
        for index in 0..<size {
            bytes.append(UInt8(truncatingIfNeeded: argument >> UInt64(8 * (size - 1 - index))))
        }
    }
}

/// The upper three bits of a value's first byte (RFC 8949, section 3.1).
enum MajorType: UInt8 {
    case unsigned, negative, bytes, text, array, map, tag, simple
}
