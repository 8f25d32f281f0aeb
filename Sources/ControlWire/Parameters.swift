package import JSONLines

/// The parameters of one request, read by name with errors that say what was wanted and what came.
package struct Parameters: Sendable {
    private let members: JSONObject

    /// Refuses a member that is not among `known`, naming the nearest one.
    package init(
        _ members: JSONObject, of method: ControlMethod, known: [String]
    ) throws(ControlFault) {
        for key in members.keys where !known.contains(key) {
            let hint =
                Nearest.word(to: key, among: known).map { "; did you mean \($0)?" }
                ?? (known.isEmpty
                    ? "; it takes none" : "; it takes \(known.joined(separator: ", "))")
            throw .invalidParams(
                "\(method.rawValue) has no parameter \(ControlFault.excerpt(key))\(hint)",
                param: key
            )
        }
        self.members = members
    }

    /// Takes any members; what nobody asks for is ignored.
    package init(open members: JSONObject) {
        self.members = members
    }

    package func has(_ key: String) -> Bool { members[key] != nil }

    package func string(_ key: String, atMost limit: Int) throws(ControlFault) -> String {
        guard let value = try optionalString(key, atMost: limit) else {
            throw .invalidParams("\(key) is missing; want a string", param: key)
        }
        return value
    }

    /// The member under `key`; nil where it is absent or null, for replies say nothing with null too.
    private func given(_ key: String) -> JSON? {
        guard let value = members[key], value != .null else { return nil }
        return value
    }

    /// A text of 1 to `limit` bytes, or nil where there is none.
    package func optionalString(
        _ key: String, atMost limit: Int
    ) throws(ControlFault) -> String? {
        guard let value = given(key) else { return nil }
        guard let text = value.stringValue else { throw wrong(key, "a string", value) }
        guard (1...limit).contains(text.utf8.count) else {
            throw .invalidParams(
                "\(key) has \(text.utf8.count) bytes; want 1 to \(limit)", param: key)
        }
        return text
    }

    /// A name that narrows a scope. Null is refused here: a scope that says nothing must never come to mean everything.
    package func optionalScope(
        _ key: String, atMost limit: Int
    ) throws(ControlFault) -> String? {
        if let value = members[key], value == .null { throw wrong(key, "a string", value) }
        return try optionalString(key, atMost: limit)
    }

    package func optionalBool(_ key: String) throws(ControlFault) -> Bool? {
        guard let value = given(key) else { return nil }
        guard let flag = value.boolValue else { throw wrong(key, "true or false", value) }
        return flag
    }

    package func optionalInteger(
        _ key: String, in range: ClosedRange<Int>
    ) throws(ControlFault) -> Int? {
        guard let value = given(key) else { return nil }
        // JSON knows one kind of number: 500.0 is an integer.
        guard let number = value.intValue ?? value.doubleValue.flatMap(Int.init(exactly:)) else {
            throw wrong(key, "an integer", value)
        }
        guard range.contains(number) else {
            throw .invalidParams(
                "\(key) is \(number); want \(range.lowerBound) to \(range.upperBound)", param: key)
        }
        return number
    }

    package func optionalObject(_ key: String) throws(ControlFault) -> JSONObject? {
        guard let value = given(key) else { return nil }
        guard let object = value.objectValue else { throw wrong(key, "an object", value) }
        return object
    }

    package func optionalStrings(_ key: String) throws(ControlFault) -> [String]? {
        guard let value = members[key] else { return nil }
        guard let values = value.arrayValue else { throw wrong(key, "an array of strings", value) }
        var texts: [String] = []
        for value in values {
            guard let text = value.stringValue else {
                throw .invalidParams("\(key) holds \(value.kind); want strings", param: key)
            }
            texts.append(text)
        }
        return texts
    }

    /// How a client names a locker: by address or by site-wide id.
    package enum Locker: Sendable, Equatable {
        case address(String)
        case id(Int)
    }

    package func locker(_ key: String) throws(ControlFault) -> Locker {
        guard let value = members[key] else {
            throw .invalidParams(
                "\(key) is missing; want an address such as \"wall/3\" or an id", param: key)
        }
        return try locker(value, key)
    }

    package func optionalLocker(_ key: String) throws(ControlFault) -> Locker? {
        members[key] == nil ? nil : try locker(key)
    }

    package func optionalLockers(_ key: String) throws(ControlFault) -> [Locker]? {
        guard let value = members[key] else { return nil }
        guard let values = value.arrayValue else {
            throw wrong(key, "an array of addresses and ids", value)
        }
        var lockers: [Locker] = []
        lockers.reserveCapacity(values.count)
        for value in values { lockers.append(try locker(value, key)) }
        return lockers
    }

    private func locker(_ value: JSON, _ key: String) throws(ControlFault) -> Locker {
        switch value {
        case .string(let address): return .address(address)
        case .int(let id): return .id(Int(id))
        default: throw wrong(key, "an address such as \"wall/3\" or an id", value)
        }
    }

    private func wrong(_ key: String, _ wanted: String, _ came: JSON) -> ControlFault {
        .invalidParams("\(key) is \(came.kind); want \(wanted)", param: key)
    }
}
