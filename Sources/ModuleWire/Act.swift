package import JSONLines

/// Params of `act`.
package struct ActParams: Sendable, Equatable {
    package let controller: String
    package let action: String
    /// What the action needs; its members are the action's own.
    package let with: JSONObject

    package init(controller: String, action: String, with: JSONObject = [:]) {
        self.controller = controller
        self.action = action
        self.with = with
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "params")
        controller = try fields.string("controller")
        action = try fields.string("action")
        with = fields.has("with") ? try fields.table("with") : [:]
    }

    package var json: JSON {
        var object: JSONObject = ["controller": .string(controller), "action": .string(action)]
        if !with.members.isEmpty { object["with"] = .object(with) }
        return .object(object)
    }
}

/// Two halves of something sealed, relayed unread and never logged.
package struct ParcelData: Sendable, Equatable {
    package let payload: String
    package let payloadAuth: String
    package let first: Int64?
    package let last: Int64?

    package init(payload: String, payloadAuth: String, first: Int64? = nil, last: Int64? = nil) {
        self.payload = payload
        self.payloadAuth = payloadAuth
        self.first = first
        self.last = last
    }

    package init(json: JSON, _ path: String) throws(WireError) {
        try self.init(Fields(json, path))
    }

    init(_ fields: Fields) throws(WireError) {
        payload = try fields.string("payload")
        payloadAuth = try fields.string("payloadAuth")
        first = fields.has("first") ? Int64(try fields.int("first")) : nil
        last = fields.has("last") ? Int64(try fields.int("last")) : nil
    }

    package var json: JSON {
        var object: JSONObject = [
            "payload": .string(payload), "payloadAuth": .string(payloadAuth),
        ]
        object["first"] = first.map { .int($0) }
        object["last"] = last.map { .int($0) }
        return .object(object)
    }
}

/// Result of the action `log`.
package struct LogResult: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package let number: Int64
        package let kind: String
        package let at: Int64
        package let locker: Int?
        package let figures: [String: Int64]

        package init(
            number: Int64, kind: String, at: Int64, locker: Int?, figures: [String: Int64]
        ) {
            self.number = number
            self.kind = kind
            self.at = at
            self.locker = locker
            self.figures = figures
        }
    }

    /// Most entries of one answer.
    package static let mostEntries = 256

    package let oldest: Int64
    package let next: Int64
    package let source: String?
    package let entries: [Entry]
    package let parcel: ParcelData?

    package init(
        oldest: Int64, next: Int64, source: String? = nil, entries: [Entry], parcel: ParcelData?
    ) {
        self.source = source
        self.oldest = oldest
        self.next = next
        self.entries = entries
        self.parcel = parcel
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "result")
        oldest = Int64(try fields.int("oldest"))
        next = Int64(try fields.int("next"))
        source = try fields.optionalString("source")
        entries = try fields.list("entries") { fields throws(WireError) in
            Entry(
                number: Int64(try fields.int("number")), kind: try fields.string("kind"),
                at: Int64(try fields.int("at")),
                locker: fields.has("locker") ? try fields.int("locker") : nil,
                figures: fields.has("figures")
                    ? Dictionary(
                        try fields.table("figures").members.compactMap { member in
                            member.value.intValue.map { (member.key, Int64($0)) }
                        }, uniquingKeysWith: { first, _ in first }) : [:])
        }
        parcel = fields.has("parcel") ? try ParcelData(fields.fields("parcel")) : nil
    }

    package var json: JSON {
        var object: JSONObject = [
            "oldest": .int(oldest), "next": .int(next),
            "entries": .array(
                entries.map { entry in
                    var object: JSONObject = [
                        "number": .int(entry.number), "kind": .string(entry.kind),
                        "at": .int(entry.at),
                    ]
                    object["locker"] = entry.locker.map { .int(Int64($0)) }
                    if !entry.figures.isEmpty {
                        object["figures"] = .object(
                            JSONObject(
                                entry.figures.sorted { $0.key < $1.key }.map {
                                    .init(key: $0.key, value: .int($0.value))
                                }))
                    }
                    return .object(object)
                }),
        ]
        object["source"] = source.map(JSON.string)
        object["parcel"] = parcel.map(\.json)
        return .object(object)
    }
}
