import TestSupport
import Testing

@testable import BLERadio

/// A tower's advertisement and scan response, laid out by hand after docs/tower-link.md.
private let services: [UInt8] =
    [2, 0x01, 0x06, 17, 0x07] + [
        0x9E, 0xCA, 0xDC, 0x24, 0x0E, 0xE5, 0xA9, 0xE0, 0x93, 0xF3, 0xA3, 0xB5, 0x01, 0x00, 0x40,
        0x6E,
    ]
private let maker: [UInt8] =
    [15, 0xFF, 0xFF, 0xFF, 1, 1, 0, 0, 0, 0, 0, 0x01, 0x75, 1, 2, 3] + [9, 0x09]
    + Array("TOWER-01".utf8)
private let address: [UInt8] = [0xF5, 0xF4, 0xF3, 0xF2, 0xF1, 0xF0]

@Suite struct `What is heard of a device` {
    private func expectTower(_ heard: Heard?, isWhole: Bool) throws {
        let heard = try #require(heard)
        #expect(heard.address == BLEAddress("F0:F1:F2:F3:F4:F5", .random))
        #expect(heard.signal == -60)
        #expect(heard.advertisement.services == [.towerService])
        guard isWhole else { return }
        #expect(heard.advertisement.name == "TOWER-01")
        #expect(heard.advertisement.manufacturer?.company == 0xFFFF)
        #expect(heard.advertisement.manufacturer?.data.count == 12)
    }

    @Test func `comes by the management interface`() throws {
        let data = services + maker
        let body = address + [2, 0xC4, 0, 0, 0, 0, UInt8(data.count), 0] + data
        let bytes: [UInt8] = [0x12, 0, 3, 0, UInt8(body.count), 0] + body
        let event = try #require(Reports.event(bytes))
        #expect(event.code == Reports.deviceFound && event.adapter == 3)
        try expectTower(Reports.found(event.body), isWhole: true)
        #expect(Reports.event(Array(bytes.dropLast())) == nil)
        // One of classic Bluetooth.
        #expect(Reports.found(address + [0] + body.dropFirst(7)) == nil)
    }

    @Test func `comes in legacy reports, in two halves`() throws {
        var packet: [UInt8] = [0x04, 0x3E, 0, 0x02, 2]
        packet += [0, 1] + address + [UInt8(services.count)] + services + [0xC4]
        packet += [4, 1] + address + [UInt8(maker.count)] + maker + [0xC4]
        let found = Reports.reports(packet)
        #expect(found.count == 2)
        try expectTower(found.first, isWhole: false)
        let whole = try #require(found.first).advertisement.merged(with: found[1].advertisement)
        #expect(whole.name == "TOWER-01" && whole.services == [.towerService])
        // What was cut off on the way takes only itself away.
        #expect(Reports.reports(Array(packet.dropLast())).count == 1)
    }

    @Test func `comes in extended reports`() throws {
        let data = services + maker
        let head: [UInt8] =
            [0x13, 0, 1] + address + [1, 0, 0xFF, 0x7F, 0xC4, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let packet: [UInt8] = [0x04, 0x3E, 0, 0x0D, 1] + head + [UInt8(data.count)] + data
        let found = Reports.reports(packet)
        #expect(found.count == 1)
        try expectTower(found.first, isWhole: true)
    }

    @Test func `tells how a command has ended`() {
        #expect(Reports.leCommand(0x0C, [1, 0]) == [0x01, 0x0C, 0x20, 2, 1, 0])
        let ended: [UInt8] = [0x04, 0x0E, 4, 1, 0x0C, 0x20, 0x0C]
        #expect(Reports.status(ended, of: 0x0C) == 0x0C)
        #expect(Reports.status(ended, of: 0x0B) == nil)
        #expect(Reports.status([0x04, 0x0F, 4, 0x0D, 1, 0x42, 0x20], of: 0x42) == 0x0D)
    }

    /// Anybody may advertise anything.
    @Test func `is never more than it is, whatever comes`() {
        var random = SeededGenerator(seed: 11)
        let data = services + maker
        let samples: [[UInt8]] = [
            data, [0x04, 0x3E, 0, 0x02, 1, 0, 1] + address + [UInt8(data.count)] + data + [0xC4],
            [0x04, 0x3E, 0, 0x0D, 1] + [UInt8](repeating: 1, count: 23) + [UInt8(data.count)]
                + data,
            address + [2, 0xC4, 0, 0, 0, 0, UInt8(data.count), 0] + data,
        ]
        var known = 0
        for _ in 0..<20_000 {
            var bytes = samples[Int.random(in: 0..<samples.count, using: &random)]
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes = Array(bytes.prefix(place))
                }
            }
            let told = Advertisement(bytes)
            #expect(told.services.count <= bytes.count / 16)
            known += Reports.reports(bytes).count + (Reports.found(bytes) == nil ? 0 : 1)
        }
        #expect(known > 100, "the fuzz is too rough to say anything")
    }

    @Test(arguments: [
        "", "F0:F1:F2:F3:F4", "F0:F1:F2:F3:F4:F5:F6", "F0:F1:F2:F3:F4:G5", "0xF0:1:2:3:4:5",
        "F0F1F2F3F4F5", "+0:F1:F2:F3:F4:F5",
    ])
    func `has an address of six pairs of digits`(text: String) {
        #expect(BLEAddress(text, .random) == nil)
    }
}
