package import JSONLines
package import TowerLink

/// A tower's keys as they stand in a file: `{"tower":"…","keys":[{"id":1,"rotation":1,"secret":"…","state":"installed"}]}`.
package struct KeyFile: Sendable {
    /// Why a file is not one of keys. It never quotes what may be a secret.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    package let tower: TowerID
    package var ring: KeyRing

    package init(_ tower: TowerID, _ ring: KeyRing = KeyRing()) {
        self.tower = tower
        self.ring = ring
    }

    package init(json: JSON) throws(Problem) {
        guard let tower = json["tower"]?.stringValue.flatMap({ TowerID($0) }) else {
            throw Problem(description: "tower: want sixteen hexadecimal digits")
        }
        guard let list = json["keys"]?.arrayValue else {
            throw Problem(description: "keys: want a list")
        }
        var keys: [TowerKey] = []
        for (place, entry) in list.enumerated() {
            keys.append(try Self.key(entry, "keys[\(place)]"))
        }
        guard let ring = KeyRing(keys) else {
            throw Problem(
                description:
                    "keys: want at most \(KeyRing.mostKeys), each id with a rotation once")
        }
        self.init(tower, ring)
    }

    private static func key(_ json: JSON, _ path: String) throws(Problem) -> TowerKey {
        let secret = json["secret"]?.stringValue.flatMap { bytes(fromHex: $0) }
        guard let secret, secret.count == TowerKey.length else {
            throw Problem(description: "\(path).secret: want 64 hexadecimal digits")
        }
        let state: TowerKey.State
        switch json["state"]?.stringValue {
        case "installed": state = .installed
        case "revoked": state = .revoked
        case "sunset":
            guard let until = json["until"]?.intValue else {
                throw Problem(description: "\(path).until: want seconds since 1970")
            }
            state = .sunset(until: Int64(until))
        default:
            throw Problem(description: "\(path).state: want installed, sunset or revoked")
        }
        guard let id = json["id"]?.intValue, let rotation = json["rotation"]?.intValue,
            let key = TowerKey(
                id: Int64(id), rotation: Int64(rotation), secret: Secret(secret), state: state,
                expires: json["expires"]?.intValue.map { Int64($0) })
        else {
            throw Problem(description: "\(path): want an id and a rotation, 0 or more")
        }
        return key
    }

    /// For the file alone: the secrets are in it.
    package var json: JSON {
        let keys = ring.keys.map { key -> JSON in
            var object: JSONObject = [
                "id": .int(key.id), "rotation": .int(key.rotation),
                "secret": .string(hex(key.secret.revealed)),
            ]
            switch key.state {
            case .installed: object["state"] = "installed"
            case .revoked: object["state"] = "revoked"
            case .sunset(let until):
                object["state"] = "sunset"
                object["until"] = .int(until)
            }
            object["expires"] = key.expires.map { .int($0) }
            return .object(object)
        }
        return ["tower": .string(tower.description), "keys": .array(keys)]
    }
}
