import JSONLines

/// A message that is well-formed JSON but not the form the protocol asks for.
package struct WireError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Names the member, what was wanted and what came: `params.controller is an integer; want a string`.
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// The members of one JSON object, read by name; members nobody asks for are ignored.
struct Fields {
    let object: JSONObject
    private let path: String

    init(_ json: JSON, _ path: String) throws(WireError) {
        guard let object = json.objectValue else {
            throw WireError("\(path) is \(json.kind); want an object")
        }
        self.object = object
        self.path = path
    }

    func has(_ key: String) -> Bool {
        switch object[key] {
        case nil, .null?: false
        default: true
        }
    }

    func string(_ key: String) throws(WireError) -> String {
        try get(key, "a string", \.stringValue)
    }

    func optionalString(_ key: String) throws(WireError) -> String? {
        has(key) ? try string(key) : nil
    }

    func int(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max) throws(WireError) -> Int
    {
        let value = try get(key, "an integer", \.intValue)
        guard range.contains(value) else {
            throw WireError(
                "\(path).\(key) is \(value); want \(range.lowerBound)-\(range.upperBound)")
        }
        return value
    }

    func bool(_ key: String) throws(WireError) -> Bool {
        try get(key, "a boolean", \.boolValue)
    }

    /// Milliseconds: a finite number from 0 to ``ModuleProtocol/longestMilliseconds``.
    func milliseconds(_ key: String) throws(WireError) -> Double {
        let value = try get(key, "a number", \.doubleValue)
        guard value >= 0, value <= ModuleProtocol.longestMilliseconds else {
            throw WireError(
                "\(path).\(key) is \(value); want 0-\(Int(ModuleProtocol.longestMilliseconds))")
        }
        return value
    }

    /// An age: anything longer than the longest duration counts as that, anything below zero as zero.
    func optionalAge(_ key: String) throws(WireError) -> Double? {
        guard has(key) else { return nil }
        return min(
            max(0, try get(key, "a number", \.doubleValue)), ModuleProtocol.longestMilliseconds)
    }

    /// A moment: milliseconds since the machine started. What no machine has been running for is as good as not told.
    func optionalMoment(_ key: String) throws(WireError) -> Double? {
        guard has(key) else { return nil }
        let value = try get(key, "a number", \.doubleValue)
        return 0...ModuleProtocol.longestUptimeMilliseconds ~= value ? value : nil
    }

    func optionalMilliseconds(_ key: String) throws(WireError) -> Double? {
        has(key) ? try milliseconds(key) : nil
    }

    func value(_ key: String) throws(WireError) -> JSON {
        try get(key, "a value") { $0 }
    }

    /// An absent table is an empty one.
    func table(_ key: String) throws(WireError) -> JSONObject {
        has(key) ? try get(key, "an object", \.objectValue) : JSONObject()
    }

    func fields(_ key: String) throws(WireError) -> Fields {
        try Fields(try value(key), "\(path).\(key)")
    }

    func list<Element>(
        _ key: String, _ read: (Fields) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        var elements: [Element] = []
        for (index, json) in try get(key, "an array", \.arrayValue).enumerated() {
            elements.append(try read(Fields(json, "\(path).\(key)[\(index)]")))
        }
        return elements
    }

    private func get<Value>(
        _ key: String, _ wanted: String, _ read: (JSON) -> Value?
    ) throws(WireError) -> Value {
        guard let found = object[key] else {
            throw WireError("\(path).\(key) is missing; want \(wanted)")
        }
        guard let value = read(found) else {
            throw WireError("\(path).\(key) is \(found.kind); want \(wanted)")
        }
        return value
    }
}
