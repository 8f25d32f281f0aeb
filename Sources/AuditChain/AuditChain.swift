import Crypto
package import JSONLines

/// The chain of hashes over the audit: each entry names the hash of the one before, and its own covers both.
///
/// Shared by whoever writes the chain and whoever checks it, so that both mean the same bytes. The bytes are those of the
/// entry without its `hash`, as JSON without spaces, the names of every object in ascending order: what
/// `json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)` gives in Python. No entry holds a fraction,
/// because programs write those differently.
package enum AuditChain {
    /// What the very first entry names as the hash before it.
    package static let genesis = String(repeating: "0", count: 64)

    /// The hash of an entry, in 64 lower-case hex digits. A `hash` that it holds already does not count.
    package static func hash(of entry: JSONObject) -> String {
        let covered = JSONObject(entry.members.filter { $0.key != "hash" })
        return digest(canonical(.object(covered)).encoded)
    }

    /// SHA-256 in lower-case hex digits.
    package static func digest(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in SHA256.hash(data: Array(bytes)) {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The same value with the names of every object in ascending order.
    package static func canonical(_ value: JSON) -> JSON {
        switch value {
        case .array(let items): .array(items.map(canonical))
        case .object(let object):
            .object(
                JSONObject(
                    object.members.map { .init(key: $0.key, value: canonical($0.value)) }
                        .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }))
        default: value
        }
    }
}
