import ControlWire
import JSONLines
import LockerCore
import LockerKit
import NIOCore
import SiteModel

/// `audit`: who did what, when, and what came of it, as a chain of hashes.
enum AuditMethod {
    /// Entries of one answer unless the request says otherwise, and at most.
    static let usualLimit = 1000
    static let highestLimit = 10_000

    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters("since", "limit", "locker")
        let since = try params.optionalInteger("since", in: 0...Int.max) ?? 0
        let limit =
            try params.optionalInteger("limit", in: 1...highestLimit) ?? usualLimit
        let locker = try params.optionalLocker("locker").map(LockerSelector.init)
        try call.grant.requireEverywhere(.maintenance, to: "read the audit")
        // A locker that no plan has any more may still be asked for by its address.
        let address: String?
        switch locker {
        case nil: address = nil
        case .address(let word): address = word
        case .id(let id): address = try call.locker(.id(id)).identity.address
        }
        let page = try await asking { () async throws(LockerError) in
            try await call.core.audit(
                AuditQuery(since: Int64(since), limit: limit, locker: address))
        }
        var writer = JSONWriter(reserving: page.entries.reduce(256) { $0 + $1.utf8.count + 1 })
        writer.beginObject()
        writer.key("entries")
        writer.beginArray()
        for entry in page.entries { writer.raw(entry.utf8) }
        writer.endArray()
        writer.member(
            "first", ["n": .int(page.firstNumber), "previous": .string(page.firstPrevious)])
        writer.member("head", ["n": .int(page.headNumber), "hash": .string(page.headHash)])
        writer.endObject()
        return HeldResult(ByteBuffer(bytes: writer.bytes))
    }
}
