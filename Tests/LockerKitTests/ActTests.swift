import JSONLines
import LockerKit
import ModuleWire
import Testing

/// What travels between the core and a device that can do more than open.
@Suite struct `An action` {
    private static let parcel = SealedParcel(payload: "a0", payloadAuth: "a1", entries: 3...9)
    private static let actions: [DeviceAction] = [
        .log(after: 41), .forget(through: 57),
        .relay(SealedParcel(payload: "00", payloadAuth: "ff")),
        .available, .revert(locker: 3, clientInfo: "did not fit"),
        .tap(locker: 3, intervalMilliseconds: 200, count: 3), .lastDoor(locker: 4),
    ]

    @Test func `is understood as it was meant`() throws {
        for action in Self.actions {
            let params = action.wire(controller: "north")
            let read = try ActParams(json: JSONReader.parse(params.json.text))
            #expect(read.controller == "north")
            #expect(try DeviceAction(read) == action)
        }
        #expect(Set(Self.actions.map(\.name)) == Set(DeviceAction.Name.allCases))
    }

    @Test func `is answered as it was meant`() throws {
        let entry = DeviceLogEntry(
            number: 42, kind: "battery", at: 1_700_000_000, figures: ["batteryMillivolts": 3400])
        let log = DeviceLog(
            oldest: 40, next: 44,
            entries: [entry, DeviceLogEntry(number: 43, kind: "access", at: 1, locker: 3)],
            parcel: Self.parcel)
        let answers: [(DeviceAction, DeviceAnswer)] = [
            (.log(after: 41), .log(log)), (.available, .available([1: 8, 2: 0])),
            (.lastDoor(locker: 1), .door(.open)),
            (.tap(locker: 1, intervalMilliseconds: 100, count: 0), .done),
        ]
        for (action, answer) in answers {
            #expect(try DeviceAnswer(JSONReader.parse(answer.wire.text), to: action) == answer)
        }
    }

    @Test(arguments: [
        #"{"controller":"n","action":"dance"}"#, #"{"controller":"n","action":"log"}"#,
        #"{"controller":"n","action":"log","with":{"after":-1}}"#,
        #"{"controller":"n","action":"tap","with":{"locker":1,"intervalMs":10,"count":1}}"#,
        #"{"controller":"n","action":"tap","with":{"intervalMs":500,"count":1}}"#,
        #"{"controller":"n","action":"relay","with":{"payload":"00"}}"#,
        #"{"controller":"n","action":"relay","with":{"payload":"0","payloadAuth":"1","first":9,"last":3}}"#,
    ])
    func `is refused where it makes no sense`(text: String) throws {
        let params = try ActParams(json: JSONReader.parse(text))
        #expect(throws: WireError.self) { _ = try DeviceAction(params) }
    }

    /// What cannot be a number or a date would end whoever writes it down.
    @Test(arguments: [
        #"{"oldest":1,"next":2,"entries":[{"number":1,"kind":"x","at":9300000000000000}]}"#,
        #"{"oldest":1,"next":2,"entries":[{"number":1,"kind":"x","at":-62200000000}]}"#,
        #"{"oldest":1,"next":2,"entries":[{"number":9223372036854775807,"kind":"x","at":0}]}"#,
        #"{"oldest":1,"next":9223372036854775807,"entries":[]}"#,
        #"{"oldest":-1,"next":1,"entries":[]}"#,
    ])
    func `has no answer that nobody could write down`(text: String) throws {
        let json = try JSONReader.parse(text)
        #expect(throws: WireError.self) { _ = try DeviceAnswer(json, to: .log(after: 0)) }
    }

    @Test func `has no answer of more entries than a line can bear`() throws {
        let entries = (1...257).map { DeviceLogEntry(number: $0, kind: "x", at: 0) }
        let json = DeviceAnswer.log(DeviceLog(oldest: 1, next: 258, entries: entries)).wire
        #expect(throws: WireError.self) { _ = try DeviceAnswer(json, to: .log(after: 0)) }
    }
}
