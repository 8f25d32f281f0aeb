import JSONLines
import LockerKit
import ModuleWire
import Testing

@Suite struct ModuleMessages {
    @Test(
        arguments: [
            .request(id: 7, method: "open", params: ["controller": "wall"]),
            .notification(method: "doors", params: ["doors": []]),
            .result(id: -3, ["ok": true]),
            .failure(id: 7, ErrorData(code: "BUSY", message: "full", fired: "no", sent: "no")),
            .failure(id: nil, ErrorData(rpcCode: -32700, message: "not JSON")),
        ] as [ModuleMessage])
    func `a message reads back as it was written`(message: ModuleMessage) throws {
        let line = message.line
        #expect(line.last == 0x0A)
        #expect(line.filter { $0 == 0x0A }.count == 1)
        #expect(try ModuleMessage(line: Array(line.dropLast())) == message)
    }

    @Test(
        arguments: [
            ("", -32700, nil), ("{", -32700, nil), ("7", -32600, nil),
            (#"{"jsonrpc":"2.0"}"#, -32600, nil),
            (#"{"jsonrpc":"2.0","id":4}"#, -32600, 4),
            (#"{"jsonrpc":"2.0","id":"x","method":"ping"}"#, -32600, nil),
            (#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, nil),
            (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, nil),
            (#"{"jsonrpc":"2.0","id":9,"method":7}"#, -32600, 9),
            (#"{"id":9,"method":"ping"}"#, -32600, 9),
            (#"{"jsonrpc":"2.0","result":{}}"#, -32600, nil),
        ] as [(String, Int, Int64?)])
    func `what is no message is refused with its id where there is one`(
        text: String, code: Int, id: Int64?
    ) {
        let problem = #expect(throws: ModuleMessage.Problem.self) {
            try ModuleMessage(line: Array(text.utf8))
        }
        #expect(problem?.rpcCode == code)
        #expect(problem?.id == id)
    }

    @Test func `params may be left out`() throws {
        let message = try ModuleMessage(
            line: Array(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.utf8))
        #expect(message == .request(id: 1, method: "ping", params: [:]))
    }

    @Test(arguments: [
        ("{}", "INTERNAL", "unknown", "maybe"),
        ("7", "INTERNAL", "unknown", "maybe"),
        (#"{"code":-32601,"message":"no"}"#, "INTERNAL", "no", "no"),
        (#"{"code":-32000,"data":{"code":"LINK_DOWN"}}"#, "LINK_DOWN", "unknown", "maybe"),
        (
            #"{"code":-32000,"data":{"code":"LINK_DOWN","fired":"no","sent":"no"}}"#, "LINK_DOWN",
            "no", "no"
        ),
        (
            #"{"code":-32000,"data":{"code":"EXPIRED","fired":"no","sent":"no"}}"#, "EXPIRED",
            "no", "no"
        ),
        (
            #"{"code":-32000,"data":{"code":"KEY_REUSED","fired":"no","sent":"no"}}"#, "INTERNAL",
            "no", "no"
        ),
        (
            #"{"code":-32000,"data":{"code":"SOUR_MILK","fired":"perhaps","sent":3}}"#, "INTERNAL",
            "unknown", "maybe"
        ),
    ])
    func `an error says the worst where it leaves something out`(
        text: String, code: String, fired: String, sent: String
    ) throws {
        let error = LockerError(ErrorData(json: try JSONReader.parse(text)))
        #expect(error.code.rawValue == code)
        #expect(error.fired.rawValue == fired)
        #expect(error.sent.rawValue == sent)
    }
}

@Suite struct WireForms {
    @Test func `commands and reports survive the wire`() throws {
        let now = ContinuousClock.now
        let command = OpenCommand(
            locker: 3, pulse: .milliseconds(200), token: OpenToken(payload: "p", payloadAuth: "a"),
            deadline: now + .milliseconds(750))
        let params = try OpenParams(json: command.wire(controller: "wall", now: now).json)
        #expect(params.controller == "wall")
        #expect(OpenCommand(params, readAt: now) == command)
        let report = OpenReport(
            evidence: .lockFeedback, doorBefore: .closed, doorAfter: .unknown,
            bus: .microseconds(17_200), pulse: .milliseconds(200))
        let back = try OpenReport(OpenResult(json: report.wire.json), asked: .zero)
        #expect(back == report)
        #expect(report.wire.json["busMs"] == 17.2)
    }

    @Test(
        arguments: [
            (0.25, 250.0), (0, 0), (-3, 0), (1e6, ModuleProtocol.longestMilliseconds),
        ] as [(Double, Double)])
    func `a deadline travels as the time that is left`(seconds: Double, sent: Double) throws {
        let now = ContinuousClock.now
        let command = OpenCommand(
            locker: 1, pulse: .zero, deadline: now + .seconds(1) * seconds)
        let json = command.wire(controller: "wall", now: now).json
        #expect(json["withinMs"]?.doubleValue == sent)
        // The other process reads it at another time of its own.
        let readAt = now + .seconds(5000)
        let back = OpenCommand(try OpenParams(json: json), readAt: readAt)
        #expect(back.deadline == readAt + .milliseconds(1) * sent)
        let error = #expect(throws: LockerError.self) {
            try back.checkDeadline(at: readAt + .milliseconds(1) * sent)
        }
        #expect(error?.code == .expired && error?.fired == .no && error?.sent == .no)
        if sent > 0 { try back.checkDeadline(at: readAt) }
    }

    @Test func `an order without a deadline holds for ever`() throws {
        let command = OpenCommand(locker: 1, pulse: .zero)
        let json = command.wire(controller: "wall", now: .now).json
        #expect(json["withinMs"] == nil)
        #expect(OpenCommand(try OpenParams(json: json), readAt: .now) == command)
        try command.checkDeadline(at: .now + .seconds(86_400))
    }

    @Test(
        arguments: [(-1, "-1.0; want 0-86400000"), ("soon", "a string; want a number")]
            as [(JSON, String)])
    func `a wrong deadline is refused by name`(value: JSON, words: String) {
        let error = #expect(throws: WireError.self) {
            try OpenParams(
                json: ["controller": "wall", "locker": 1, "pulseMs": 5, "withinMs": value])
        }
        #expect(error?.description == "params.withinMs is \(words)")
    }

    @Test func `the shortest result is enough`() throws {
        let result = try OpenResult(json: ["evidence": "none"])
        let report = try OpenReport(result, asked: .milliseconds(150))
        #expect(report == OpenReport(evidence: .none, pulse: .milliseconds(150)))
        let door = try DoorsResult(json: ["doors": [["locker": 1, "door": "open"]]]).doors[0]
        #expect(door == DoorData(locker: 1, door: "open", ageMilliseconds: 0))
    }

    @Test func `capabilities, doors and links survive the wire`() throws {
        let capabilities = Capabilities(
            pulseTiming: .host, evidence: .echo, maximumTogether: 3, polarityKnown: false,
            doorSensors: true)
        let result = ConfigureDriverResult(
            controllers: [.init(id: "wall", capabilities: capabilities.wire)])
        let back = try ConfigureDriverResult(json: result.json)
        #expect(try Capabilities(back.controllers[0].capabilities) == capabilities)

        let now = ContinuousClock.now
        let reading = DoorReading(locker: 2, door: .open, takenAt: now - .milliseconds(40))
        let data = reading.wire(now: now)
        #expect(data.ageMilliseconds == 40)
        let found = try DoorReading(data, now: now)
        #expect(found.door.value == .open && found.locker == 2)
        let off = reading.door.takenAt.duration(to: found.door.takenAt) / .microseconds(1)
        #expect((-2...2).contains(off), "\(off) us")

        let params = ConfigureDriverParams(
            link: "yard", options: ["baud": 9600],
            controllers: [
                .init(
                    id: "wall", options: ["unit": 1], board: ["coils": [:]],
                    lockers: [.init(number: 1, hasSensor: false, options: ["fault": "jam"])])
            ])
        #expect(LinkDescription(try ConfigureDriverParams(json: params.json)).wire == params)
    }

    @Test func `two readings keep their order however long their messages took`() throws {
        let now = ContinuousClock.now
        let first = DoorReading(locker: 1, door: .closed, takenAt: now - .milliseconds(20))
        let second = DoorReading(locker: 1, door: .open, takenAt: now - .milliseconds(19))
        // The first is 5 ms on its way, the second one none.
        let data = (first.wire(now: now), second.wire(now: now))
        let slow = try DoorReading(data.0, now: now + .milliseconds(5))
        let fast = try DoorReading(data.1, now: now)
        #expect(slow.door.takenAt < fast.door.takenAt)
        // Not later than the message itself, and another clock is not believed.
        let early = DoorData(
            locker: 1, door: "open", ageMilliseconds: 0, bootMilliseconds: data.1.bootMilliseconds)
        #expect(
            try DoorReading(early, now: now - .milliseconds(19.5)).door.takenAt <= now
                - .milliseconds(19.5))
        for other in [0.0, 1e12] {
            let odd = DoorData(
                locker: 1, door: "open", ageMilliseconds: 30, bootMilliseconds: other)
            #expect(try DoorReading(odd, now: now).door.takenAt == now - .milliseconds(30))
        }
        let json: JSON = ["doors": [["locker": 1, "door": "open", "atMs": -1]]]
        #expect(try DoorsResult(json: json).doors[0].bootMilliseconds == nil)
    }

    @Test func `an old reading keeps its place`() throws {
        let now = ContinuousClock.now
        let data = try DoorsResult(
            json: ["doors": [["locker": 1, "door": "open", "ageMs": 1e300]]]
        ).doors[0]
        #expect(data.ageMilliseconds == ModuleProtocol.longestMilliseconds)
        #expect(try DoorReading(data, now: now).door.takenAt == now - .seconds(86_400))
    }

    @Test(
        arguments: [
            (["evidence": "hope"], "result.evidence is \"hope\"; want lock-feedback, echo or none"),
            (
                ["evidence": "door-sensor"],
                "result.evidence is \"door-sensor\"; want lock-feedback, echo or none"
            ),
            (
                ["evidence": "none", "doorAfter": "ajar"],
                "result.doorAfter is \"ajar\"; want open, closed or unknown"
            ),
            (["evidence": "none", "busMs": -1], "result.busMs is -1.0; want 0-86400000"),
            (["evidence": 5], "result.evidence is an integer; want a string"),
            ([:], "result.evidence is missing; want a string"),
        ] as [(JSON, String)])
    func `a wrong result is refused by name`(json: JSON, message: String) {
        let error = #expect(throws: WireError.self) {
            try OpenReport(OpenResult(json: json), asked: .zero)
        }
        #expect(error?.description == message)
    }

    @Test func `a token never shows in a description of an error`() {
        let error = #expect(throws: WireError.self) {
            try OpenParams(
                json: [
                    "controller": "wall", "locker": 1, "pulseMs": 5,
                    "token": ["payload": "secret-p", "payloadAuth": 7],
                ])
        }
        #expect(error?.description == "params.token.payloadAuth is an integer; want a string")
    }
}
