import JSONLines

/// A tower as the driver's tool has heard it.
struct FoundTower {
    let tower: String
    let name: String
    let firmware: String
    let address: String
    let addressType: String
    /// In dBm.
    let signal: Int?

    init?(_ event: JSON) {
        guard let tower = event["tower"]?.stringValue, let address = event["address"]?.stringValue
        else { return nil }
        self.tower = tower
        self.address = address
        name = event["name"]?.stringValue ?? ""
        firmware = event["firmware"]?.stringValue ?? ""
        addressType = event["addressType"]?.stringValue ?? "random"
        signal = event["signal"]?.intValue
    }
}

/// A link file to start from, made of the towers in range, the nearest first.
struct TowerDraft {
    let towers: [FoundTower]

    var text: String {
        var lines = [
            "# \(Words.count(towers.count, "tower")) in range.",
            "# A link each: one that is out of reach then keeps no other waiting.",
        ]
        let nearest = towers.sorted { ($0.signal ?? -128) > ($1.signal ?? -128) }
        var firstID = 1
        for (place, tower) in nearest.enumerated() {
            lines += ["", "# links.d/tower-\(place + 1).toml"] + link(tower, firstID)
            firstID += Self.lockers
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// How many lockers a draft has: nobody but the tower knows.
    private static let lockers = 8

    private func link(_ tower: FoundTower, _ firstID: Int) -> [String] {
        let signal = tower.signal.map { ", \($0) dBm" } ?? ""
        return [
            "# \(JSON.string(tower.name).text), firmware \(tower.firmware)\(signal)",
            "driver = \"ble-tower\"", "", "[link]", "", "[[controller]]",
            "id = \"tower-\(tower.tower.suffix(4))\"", "tower = \"\(tower.tower)\"",
            "address = \"\(tower.address)\"", "address_type = \"\(tower.addressType)\"",
            "key_file = \"towers/\(tower.tower).json\"    # lockerctl tower key, or session_file with a token of the server's",
            "lockers = \(Self.lockers)    # how many it has; a scan cannot tell",
            "first_id = \(firstID)", "bank = \"main\"", "power = \"main\"",
            "poll_ms = 30000    # it has a battery",
        ]
    }
}
