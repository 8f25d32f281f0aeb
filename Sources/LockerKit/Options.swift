package import JSONLines

/// A table of options, read by name with the type that is wanted.
///
/// The core has checked the table against the module's schema, so a getter fails only where schema and driver disagree;
/// the error names the key all the same.
public struct Options: Sendable, Equatable {
    private let members: JSONObject
    private let path: String

    /// An empty table.
    public init() {
        self.init(JSONObject())
    }

    package init(_ members: JSONObject, path: String = "") {
        self.members = members
        self.path = path
    }

    package var json: JSONObject { members }

    /// The keys that are present, in order.
    public var keys: [String] { members.keys }

    /// Whether `key` is present.
    public func has(_ key: String) -> Bool { members[key] != nil }

    /// The text under `key`.
    public func string(_ key: String) throws(LockerError) -> String {
        try get(key, "a string", \.stringValue)
    }

    /// The text under `key`, or `nil` where it is absent.
    public func optionalString(_ key: String) throws(LockerError) -> String? {
        has(key) ? try string(key) : nil
    }

    /// The integer under `key`, which must lie in `range`.
    public func integer(
        _ key: String, in range: ClosedRange<Int> = Int.min...Int.max
    ) throws(LockerError) -> Int {
        let value = try get(key, "an integer", \.intValue)
        guard range.contains(value) else {
            throw LockerError(
                .invalidRequest,
                "\(path)\(key) is \(value); want \(range.lowerBound)-\(range.upperBound)")
        }
        return value
    }

    /// The integer under `key`, or `nil` where it is absent.
    public func optionalInteger(
        _ key: String, in range: ClosedRange<Int> = Int.min...Int.max
    ) throws(LockerError) -> Int? {
        has(key) ? try integer(key, in: range) : nil
    }

    /// The number under `key`.
    public func number(_ key: String) throws(LockerError) -> Double {
        try get(key, "a number", \.doubleValue)
    }

    /// The truth value under `key`.
    public func boolean(_ key: String) throws(LockerError) -> Bool {
        try get(key, "true or false", \.boolValue)
    }

    /// The truth value under `key`, or `nil` where it is absent.
    public func optionalBoolean(_ key: String) throws(LockerError) -> Bool? {
        has(key) ? try boolean(key) : nil
    }

    /// The whole milliseconds under `key`.
    public func milliseconds(
        _ key: String, in range: ClosedRange<Int> = 0...Int.max
    ) throws(LockerError) -> Duration {
        .milliseconds(try integer(key, in: range))
    }

    /// The word under `key` as one of a closed list; nil where it is absent.
    public func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String
    ) throws(LockerError) -> Choice? where Choice.RawValue == String {
        guard let word = try optionalString(key) else { return nil }
        guard let choice = Choice(rawValue: word) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw LockerError(
                .invalidRequest, "\(path)\(key) is \"\(word)\"; want one of \(known)")
        }
        return choice
    }

    /// The integers under `key`.
    public func integers(_ key: String) throws(LockerError) -> [Int] {
        let values = try get(key, "an array of integers", \.arrayValue)
        let integers = values.compactMap(\.intValue)
        guard integers.count == values.count else { throw wrong(key, "an array of integers") }
        return integers
    }

    /// The table under `key`; an absent one is empty.
    public func table(_ key: String) throws(LockerError) -> Options {
        guard has(key) else { return Options(JSONObject(), path: "\(path)\(key).") }
        return Options(try get(key, "a table", \.objectValue), path: "\(path)\(key).")
    }

    /// The array of tables under `key`; an absent one is empty.
    public func tables(_ key: String) throws(LockerError) -> [Options] {
        guard has(key) else { return [] }
        let values = try get(key, "an array of tables", \.arrayValue)
        let tables = values.compactMap(\.objectValue)
        guard tables.count == values.count else { throw wrong(key, "an array of tables") }
        return tables.enumerated().map { Options($0.element, path: "\(path)\(key)[\($0.offset)].") }
    }

    private func get<Value>(
        _ key: String, _ wanted: String, _ read: (JSON) -> Value?
    ) throws(LockerError) -> Value {
        guard let found = members[key] else {
            throw LockerError(.invalidRequest, "\(path)\(key) is missing; want \(wanted)")
        }
        guard let value = read(found) else { throw wrong(key, wanted) }
        return value
    }

    private func wrong(_ key: String, _ wanted: String) -> LockerError {
        let came = members[key]?.kind ?? "nothing"
        return LockerError(.invalidRequest, "\(path)\(key) is \(came); want \(wanted)")
    }
}
