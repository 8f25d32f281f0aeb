package import JSONLines

/// Params of `start`, `doors` and `stop`.
package struct ControllerParams: Sendable, Equatable {
    package let controller: String

    package init(controller: String) {
        self.controller = controller
    }

    package init(json: JSON) throws(WireError) {
        controller = try Fields(json, "params").string("controller")
    }

    package var json: JSON { ["controller": .string(controller)] }
}

/// Params of `open`.
package struct OpenParams: Sendable, Equatable {
    /// A tower's open token, relayed unread; never logged.
    package struct Token: Sendable, Equatable {
        package let payload: String
        package let payloadAuth: String

        package init(payload: String, payloadAuth: String) {
            self.payload = payload
            self.payloadAuth = payloadAuth
        }
    }

    package let controller: String
    /// Number on the controller.
    package let locker: Int
    package let pulseMilliseconds: Double
    /// How long from the reading of the line the lock may still be fired; nil means at any time.
    package let withinMilliseconds: Double?
    package let token: Token?
    /// Whether the locker that was opened last is to be opened once more; left out where it is not.
    package let isAgain: Bool

    package init(
        controller: String, locker: Int, pulseMilliseconds: Double,
        withinMilliseconds: Double? = nil, token: Token? = nil, isAgain: Bool = false
    ) {
        self.isAgain = isAgain
        self.controller = controller
        self.locker = locker
        self.pulseMilliseconds = pulseMilliseconds
        self.withinMilliseconds = withinMilliseconds
        self.token = token
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "params")
        controller = try fields.string("controller")
        locker = try fields.int("locker")
        pulseMilliseconds = try fields.milliseconds("pulseMs")
        withinMilliseconds = try fields.optionalMilliseconds("withinMs")
        isAgain = fields.has("again") ? try fields.bool("again") : false
        if fields.has("token") {
            let token = try fields.fields("token")
            self.token = Token(
                payload: try token.string("payload"),
                payloadAuth: try token.string("payloadAuth"))
        } else {
            token = nil
        }
    }

    package var json: JSON {
        var object: JSONObject = [
            "controller": .string(controller), "locker": .int(Int64(locker)),
            "pulseMs": .double(pulseMilliseconds),
        ]
        object["withinMs"] = withinMilliseconds.map(JSON.double)
        if isAgain { object["again"] = true }
        if let token {
            object["token"] = [
                "payload": .string(token.payload), "payloadAuth": .string(token.payloadAuth),
            ]
        }
        return .object(object)
    }
}

/// Result of `open`.
package struct OpenResult: Sendable, Equatable {
    /// `lock-feedback`, `echo` or `none`.
    package let evidence: String
    /// `open`, `closed`, `unknown`; nil where the driver did not read it.
    package let doorBefore: String?
    package let doorAfter: String?
    /// Time on the bus, pulse excluded; 0 where the module does not say.
    package let busMilliseconds: Double
    /// Nil means as long as was asked.
    package let pulseMilliseconds: Double?

    package init(
        evidence: String, doorBefore: String? = nil, doorAfter: String? = nil,
        busMilliseconds: Double, pulseMilliseconds: Double?
    ) {
        self.evidence = evidence
        self.doorBefore = doorBefore
        self.doorAfter = doorAfter
        self.busMilliseconds = busMilliseconds
        self.pulseMilliseconds = pulseMilliseconds
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "result")
        evidence = try fields.string("evidence")
        doorBefore = try fields.optionalString("doorBefore")
        doorAfter = try fields.optionalString("doorAfter")
        busMilliseconds = try fields.optionalMilliseconds("busMs") ?? 0
        pulseMilliseconds = try fields.optionalMilliseconds("pulseMs")
    }

    package var json: JSON {
        var object: JSONObject = ["evidence": .string(evidence)]
        object["doorBefore"] = doorBefore.map(JSON.string)
        object["doorAfter"] = doorAfter.map(JSON.string)
        object["busMs"] = .double(busMilliseconds)
        object["pulseMs"] = pulseMilliseconds.map(JSON.double)
        return .object(object)
    }
}

/// One door of a `doors` reply or notification.
package struct DoorData: Sendable, Equatable {
    package let locker: Int
    /// `open`, `closed` or `unknown`.
    package let door: String
    /// How long before the message was written the sensor was read; 0 where the module does not say.
    package let ageMilliseconds: Double
    /// When that was, in milliseconds since the machine started (CLOCK_BOOTTIME); nil where the module does not say.
    package let bootMilliseconds: Double?

    package init(
        locker: Int, door: String, ageMilliseconds: Double, bootMilliseconds: Double? = nil
    ) {
        self.locker = locker
        self.door = door
        self.ageMilliseconds = ageMilliseconds
        self.bootMilliseconds = bootMilliseconds
    }

    init(_ fields: Fields) throws(WireError) {
        locker = try fields.int("locker")
        door = try fields.string("door")
        ageMilliseconds = try fields.optionalAge("ageMs") ?? 0
        bootMilliseconds = try fields.optionalMoment("atMs")
    }

    var json: JSON {
        var object: JSONObject = [
            "locker": .int(Int64(locker)), "door": .string(door),
            "ageMs": .double(ageMilliseconds),
        ]
        object["atMs"] = bootMilliseconds.map(JSON.double)
        return .object(object)
    }
}

/// Result of `doors`.
package struct DoorsResult: Sendable, Equatable {
    package let doors: [DoorData]

    package init(doors: [DoorData]) {
        self.doors = doors
    }

    package init(json: JSON) throws(WireError) {
        doors = try Fields(json, "result").list("doors") { fields throws(WireError) in
            try DoorData(fields)
        }
    }

    package var json: JSON { ["doors": .array(doors.map(\.json))] }
}

/// Params of the `doors` notification.
package struct DoorsParams: Sendable, Equatable {
    package let controller: String
    package let doors: [DoorData]

    package init(controller: String, doors: [DoorData]) {
        self.controller = controller
        self.doors = doors
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "params")
        controller = try fields.string("controller")
        doors = try fields.list("doors") { fields throws(WireError) in try DoorData(fields) }
    }

    package var json: JSON {
        ["controller": .string(controller), "doors": .array(doors.map(\.json))]
    }
}

/// Params of `cancel`.
package struct CancelParams: Sendable, Equatable {
    /// The id of the request to cancel.
    package let id: Int64

    package init(id: Int64) {
        self.id = id
    }

    package init(json: JSON) throws(WireError) {
        id = Int64(try Fields(json, "params").int("id"))
    }

    package var json: JSON { ["id": .int(id)] }
}

/// Params of `deliver`.
package struct DeliverParams: Sendable, Equatable {
    /// The beat; its members are the heartbeat's business, not this protocol's.
    package let beat: JSON

    package init(beat: JSON) {
        self.beat = beat
    }

    package init(json: JSON) throws(WireError) {
        beat = try Fields(json, "params").value("beat")
    }

    package var json: JSON { ["beat": beat] }
}

/// Params of the `log` notification.
package struct LogParams: Sendable, Equatable {
    /// `trace`, `debug`, `info`, `notice`, `warning`, `error` or `critical`.
    package let level: String
    package let message: String
    /// In the order the module gave; values that are not text are left out.
    package let metadata: [(key: String, value: String)]

    package init(level: String, message: String, metadata: [(key: String, value: String)] = []) {
        self.level = level
        self.message = message
        self.metadata = metadata
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "params")
        level = try fields.string("level")
        message = try fields.string("message")
        metadata = try fields.table("metadata").members.compactMap { member in
            member.value.stringValue.map { (member.key, $0) }
        }
    }

    package var json: JSON {
        let members = metadata.map { JSONObject.Member(key: $0.key, value: .string($0.value)) }
        return [
            "level": .string(level), "message": .string(message),
            "metadata": .object(JSONObject(members)),
        ]
    }

    package static func == (left: LogParams, right: LogParams) -> Bool {
        left.json == right.json
    }
}
