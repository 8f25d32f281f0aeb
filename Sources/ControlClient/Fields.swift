package import JSONLines

/// The members of one object of a reply, read with errors that say where and what.
///
/// Members that nobody asks for are ignored, so that a newer daemon may add some.
struct Fields {
    private let object: JSONObject
    private let place: String

    init(_ json: JSON?, at place: String) throws(ControlError) {
        guard let object = json?.objectValue else {
            throw .malformed("\(place): want an object, got \(json?.kind ?? "nothing")")
        }
        self.object = object
        self.place = place
    }

    subscript(key: String) -> JSON? {
        // A null says the same as a missing member: there is nothing to show.
        guard let value = object[key], value != .null else { return Optional.none }
        return value
    }

    func string(_ key: String) throws(ControlError) -> String {
        try want("a string", key, self[key]?.stringValue)
    }

    func integer(_ key: String) throws(ControlError) -> Int {
        try want("an integer", key, self[key]?.intValue)
    }

    func boolean(_ key: String) throws(ControlError) -> Bool {
        try want("a boolean", key, self[key]?.boolValue)
    }

    func array<Element>(
        _ key: String, _ element: (JSON, String) throws(ControlError) -> Element
    ) throws(ControlError) -> [Element] {
        let values = try want("an array", key, self[key]?.arrayValue)
        var out: [Element] = []
        out.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            out.append(try element(value, "\(place).\(key)[\(index)]"))
        }
        return out
    }

    func optionalArray<Element>(
        _ key: String, _ element: (JSON, String) throws(ControlError) -> Element
    ) throws(ControlError) -> [Element] {
        self[key] == nil ? [] : try array(key, element)
    }

    func path(_ key: String) -> String { "\(place).\(key)" }

    private func want<Value>(
        _ kind: String, _ key: String, _ value: Value?
    ) throws(ControlError) -> Value {
        guard let value else {
            throw .malformed("\(path(key)): want \(kind), got \(self[key]?.kind ?? "nothing")")
        }
        return value
    }
}

extension DaemonFault {
    /// Reads an error object, either JSON-RPC's own (with the daemon's words in `data`) or the flat one that stands
    /// among the results of an open-all.
    package init(_ json: JSON) {
        let data = json["data"] ?? json
        number = json["code"]?.intValue ?? -32000
        code = data["code"]?.stringValue
        message = json["message"]?.stringValue ?? "the daemon gave no reason"
        fired = data["fired"]?.stringValue.flatMap(Fired.init(rawValue:))
        isRetryable = data["retryable"]?.boolValue ?? false
        let details = data["details"]
        rule = details?["rule"]?.stringValue
        operation = details?["operation"]?.stringValue
        isReplayed = details?["replayed"]?.boolValue ?? false
        retryAfterMs = details?["retryAfterMs"]?.doubleValue
        attempts = details?["attempts"]?.intValue
        self.json = json.text
    }
}
