import TestSupport
import Testing

@testable import BLERadio

/// A device in memory: answers as its table of attributes says, in a device's own way.
private final class Device: ATTChannel {
    /// What was sent to it.
    var sent: [[UInt8]] = []
    /// Messages that come before anything else.
    var unasked: [[UInt8]] = []
    var mtu: UInt16 = 100
    var info = [UInt8](repeating: 7, count: 250)
    /// Answers in place of the right one, by the request's code.
    var answers: [UInt8: [UInt8]] = [:]
    private var waiting: [[UInt8]] = []

    func send(_ message: [UInt8], until _: ContinuousClock.Instant) throws(BLEFault) {
        sent.append(message)
        waiting += unasked
        unasked = []
        if let answer = answers[message[0]] ?? answer(message) { waiting.append(answer) }
    }

    func receive(until _: ContinuousClock.Instant) throws(BLEFault) -> [UInt8] {
        guard !waiting.isEmpty else { throw .late("nothing") }
        return waiting.removeFirst()
    }

    private func uuid(_ number: UInt8) -> [UInt8] {
        [
            0x9E, 0xCA, 0xDC, 0x24, 0x0E, 0xE5, 0xA9, 0xE0, 0x93, 0xF3, 0xA3, 0xB5, number, 0, 0x40,
            0x6E,
        ]
    }

    private func refusal(_ message: [UInt8], _ code: UInt8) -> [UInt8] {
        [1, message[0], 0, 0, code]
    }

    /// Service 0x10 to 0x1A with three characteristics, one answer each, as a device with a small MTU has it.
    private func answer(_ message: [UInt8]) -> [UInt8]? {
        let from = message.count > 2 ? number(message, at: 1) : 0
        switch message[0] {
        case 0x02: return [3] + pair(mtu)
        case 0x06: return [7] + pair(0x10) + pair(0x1A)
        case 0x08:
            let list: [(UInt16, UInt8, UInt8)] = [
                (0x11, 0x04, 2), (0x13, 0x10, 3), (0x16, 0x02, 4),
            ]
            guard let next = list.first(where: { $0.0 >= from }) else {
                return refusal(message, 0x0A)
            }
            return [9, 21] + pair(next.0) + [next.1] + pair(next.0 + 1) + uuid(next.2)
        case 0x04:
            return from <= 0x15 ? [5, 1] + pair(0x15) + pair(0x2902) : refusal(message, 0x0A)
        case 0x0A: return [0x0B] + info.prefix(Int(mtu) - 1)
        case 0x0C:
            let offset = Int(number(message, at: 3))
            guard offset <= info.count else { return refusal(message, 0x07) }
            return [0x0D] + info.dropFirst(offset).prefix(Int(mtu) - 1)
        case 0x12: return [0x13]
        case 0x52: return nil
        case 0x1E, 0x01, 0x03: return nil
        default: return refusal(message, 0x06)
        }
    }
}

@Suite struct `A client of a device's attributes` {
    private let device = Device()
    private let end = ContinuousClock.now + .seconds(5)

    @Test func `finds the tower's characteristics, and asks for notifications`() throws {
        let client = ATTClient(device)
        try client.exchangeMTU(until: end)
        #expect(client.mtu == 100 && client.longestWrite == 97)
        let list = try #require(try client.characteristics(of: .towerService, until: end))
        #expect(list.map(\.uuid) == [.towerWrite, .towerNotify, .towerInfo])
        #expect(list.map(\.value) == [0x12, 0x14, 0x17])
        let found = try client.configuration(of: list[1], before: 0x15, until: end)
        #expect(found == 0x15)
        try client.subscribe(0x15, until: end)
        #expect(device.sent.last == [0x12, 0x15, 0, 1, 0])
    }

    @Test func `reads long values in pieces, and writes them in pieces`() throws {
        let client = ATTClient(device)
        try client.exchangeMTU(until: end)
        #expect(try client.read(0x17, until: end) == device.info)
        device.sent = []
        try client.send([UInt8](repeating: 1, count: 200), to: 0x12, until: end)
        #expect(device.sent.map(\.count) == [100, 100, 9])
        #expect(device.sent.allSatisfy { $0.prefix(3) == [0x52, 0x12, 0] })
    }

    @Test func `keeps to the smallest messages where the device knows nothing else`() throws {
        device.answers[0x02] = [1, 0x02, 0, 0, 0x06]
        let client = ATTClient(device)
        try client.exchangeMTU(until: end)
        #expect(client.mtu == 23)
        device.answers[0x02] = [3, 5, 0]
        try client.exchangeMTU(until: end)
        #expect(client.mtu == 23, "less than any device may take")
    }

    @Test
    func `keeps what is notified while it waits for something else, and answers what it is asked`()
        throws
    {
        device.unasked = [
            [0x1B, 0x14, 0, 9], [0x02, 0xF7, 0], [0x1D, 0x14, 0, 8], [0x0A, 1, 0],
            [0x1B, 0x14, 0, 10],
        ]
        let client = ATTClient(device)
        try client.exchangeMTU(until: end)
        #expect(try client.notification(of: 0x14, until: end) == [9])
        #expect(try client.notification(of: 0x14, until: end) == [10])
        #expect(device.sent.dropFirst() == [[3, 0xF7, 0], [0x1E], [1, 0x0A, 0, 0, 0x06]])
    }

    @Test func `has no service that a device does not have`() throws {
        device.answers[0x06] = [1, 0x06, 1, 0, 0x0A]
        #expect(try ATTClient(device).characteristics(of: .towerService, until: end) == nil)
    }

    @Test func `is not led in circles`() {
        // The same characteristic again and again.
        device.answers[0x08] = [9, 7, 0x05, 0, 0x10, 0x06, 0, 1, 2]
        #expect(throws: BLEFault.self) {
            _ = try ATTClient(device).characteristics(of: .towerService, until: end)
        }
        device.answers[0x08] = nil
        device.answers[0x06] = [7, 9, 0, 3, 0]
        #expect(throws: BLEFault.self) {
            _ = try ATTClient(device).characteristics(of: .towerService, until: end)
        }
    }

    @Test func `lets nobody fill its memory with notifications`() {
        device.unasked = (0..<300).map { _ in [0x1B, 0x14, 0, 1] }
        #expect(throws: BLEFault.self) { try ATTClient(device).exchangeMTU(until: end) }
    }

    /// A device may be anybody's.
    @Test func `bears whatever a device answers`() {
        var random = SeededGenerator(seed: 3)
        var outcomes = (good: 0, bad: 0)
        for _ in 0..<5000 {
            let device = Device()
            for code in [0x02, 0x06, 0x08, 0x04, 0x0A, 0x0C, 0x12] as [UInt8]
            where Bool.random(using: &random) {
                let count = Int.random(in: 0...40, using: &random)
                var answer = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                if !answer.isEmpty, Bool.random(using: &random) { answer[0] = code + 1 }
                device.answers[code] = answer
            }
            do throws(BLEFault) {
                let client = ATTClient(device)
                try client.exchangeMTU(until: end)
                let list = try client.characteristics(of: .towerService, until: end) ?? []
                for one in list.prefix(8) {
                    _ = try client.configuration(of: one, before: .max, until: end)
                    #expect(try client.read(one.value, until: end).count < 1024)
                }
                outcomes.good += 1
            } catch {
                outcomes.bad += 1
            }
        }
        #expect(outcomes.good > 50 && outcomes.bad > 50, "\(outcomes)")
    }
}
