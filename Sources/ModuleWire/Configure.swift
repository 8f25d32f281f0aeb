package import JSONLines

/// The link and its controllers, as a driver gets them.
package struct ConfigureDriverParams: Sendable, Equatable {
    package struct Controller: Sendable, Equatable {
        package let id: String
        /// The driver's own keys of the `[[controller]]` table.
        package let options: JSONObject
        /// The board profile; empty without one.
        package let board: JSONObject
        package let lockers: [Locker]

        package init(id: String, options: JSONObject, board: JSONObject, lockers: [Locker]) {
            self.id = id
            self.options = options
            self.board = board
            self.lockers = lockers
        }

        init(_ fields: Fields) throws(WireError) {
            id = try fields.string("id")
            options = try fields.table("options")
            board = try fields.table("board")
            lockers = try fields.list("lockers") { fields throws(WireError) in
                try Locker(fields)
            }
        }

        var json: JSON {
            [
                "id": .string(id), "options": .object(options), "board": .object(board),
                "lockers": .array(lockers.map(\.json)),
            ]
        }
    }

    package struct Locker: Sendable, Equatable {
        /// Number on the controller, from 1.
        package let number: Int
        /// Whether a door sensor is wired.
        package let hasSensor: Bool
        /// The driver's own keys of the `[[controller.locker]]` table.
        package let options: JSONObject

        package init(number: Int, hasSensor: Bool, options: JSONObject) {
            self.number = number
            self.hasSensor = hasSensor
            self.options = options
        }

        init(_ fields: Fields) throws(WireError) {
            number = try fields.int("number", in: 1...Int(UInt16.max))
            hasSensor = fields.has("sensor") ? try fields.bool("sensor") : true
            options = try fields.table("options")
        }

        var json: JSON {
            [
                "number": .int(Int64(number)), "sensor": .bool(hasSensor),
                "options": .object(options),
            ]
        }
    }

    /// The link's name.
    package let link: String
    /// The `[link]` table.
    package let options: JSONObject
    package let controllers: [Controller]

    package init(link: String, options: JSONObject, controllers: [Controller]) {
        self.link = link
        self.options = options
        self.controllers = controllers
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "params")
        let link = try fields.fields("link")
        self.link = try link.string("name")
        options = try link.table("options")
        controllers = try fields.list("controllers") { fields throws(WireError) in
            try Controller(fields)
        }
    }

    package var json: JSON {
        [
            "link": ["name": .string(link), "options": .object(options)],
            "controllers": .array(controllers.map(\.json)),
        ]
    }
}

/// What the boards of a link can do and prove.
package struct ConfigureDriverResult: Sendable, Equatable {
    package struct Controller: Sendable, Equatable {
        package let id: String
        package let capabilities: CapabilitiesData

        package init(id: String, capabilities: CapabilitiesData) {
            self.id = id
            self.capabilities = capabilities
        }
    }

    package let controllers: [Controller]
    /// What an installer should know; one line each. Left out where there is nothing.
    package let remarks: [String]

    package init(controllers: [Controller], remarks: [String] = []) {
        self.controllers = controllers
        self.remarks = remarks
    }

    package init(json: JSON) throws(WireError) {
        remarks = json["remarks"]?.arrayValue?.compactMap(\.stringValue) ?? []
        controllers = try Fields(json, "result").list("controllers") {
            fields throws(WireError) in
            Controller(
                id: try fields.string("id"),
                capabilities: try CapabilitiesData(fields.fields("capabilities")))
        }
    }

    package var json: JSON {
        var object: JSONObject = [
            "controllers": .array(
                controllers.map {
                    ["id": .string($0.id), "capabilities": $0.capabilities.json]
                })
        ]
        if !remarks.isEmpty { object["remarks"] = .array(remarks.map(JSON.string)) }
        return .object(object)
    }
}

/// A controller's capabilities; the words are those of the protocol's description.
package struct CapabilitiesData: Sendable, Equatable {
    /// `board` or `host`.
    package let pulseTiming: String
    /// `lock-feedback`, `echo` or `none`.
    package let evidence: String
    /// At least 1; 1 where it is left out.
    package let maximumTogether: Int
    package let polarityKnown: Bool
    package let doorSensors: Bool
    /// Names of what can be asked for by `act`; left out where there is nothing.
    package let actions: [String]

    package init(
        pulseTiming: String, evidence: String, maximumTogether: Int, polarityKnown: Bool,
        doorSensors: Bool, actions: [String] = []
    ) {
        self.actions = actions
        self.pulseTiming = pulseTiming
        self.evidence = evidence
        self.maximumTogether = maximumTogether
        self.polarityKnown = polarityKnown
        self.doorSensors = doorSensors
    }

    init(_ fields: Fields) throws(WireError) {
        pulseTiming = try fields.string("pulseTiming")
        evidence = try fields.string("evidence")
        maximumTogether =
            fields.has("maximumTogether")
            ? try fields.int("maximumTogether", in: 1...Int(UInt16.max)) : 1
        polarityKnown = try fields.bool("polarityKnown")
        doorSensors = try fields.bool("doorSensors")
        actions =
            fields.has("actions")
            ? try fields.value("actions").arrayValue?.compactMap(\.stringValue) ?? [] : []
    }

    var json: JSON {
        var object: JSONObject = [
            "pulseTiming": .string(pulseTiming), "evidence": .string(evidence),
            "maximumTogether": .int(Int64(maximumTogether)), "polarityKnown": .bool(polarityKnown),
            "doorSensors": .bool(doorSensors),
        ]
        if !actions.isEmpty { object["actions"] = .array(actions.map(JSON.string)) }
        return .object(object)
    }
}

/// What an uplink gets.
package struct ConfigureUplinkParams: Sendable, Equatable {
    package let site: String
    /// The uplink's name.
    package let name: String
    /// The module's own keys of the `[[uplink]]` table.
    package let options: JSONObject

    package init(site: String, name: String, options: JSONObject) {
        self.site = site
        self.name = name
        self.options = options
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "params")
        site = try fields.string("site")
        name = try fields.string("name")
        options = try fields.table("options")
    }

    package var json: JSON {
        ["site": .string(site), "name": .string(name), "options": .object(options)]
    }
}
