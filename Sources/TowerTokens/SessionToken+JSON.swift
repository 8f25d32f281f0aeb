package import JSONLines
package import TowerLink

extension SessionToken {
    /// As `lockerctl tower token --session` prints one. Never quotes what may be a secret.
    package init(json: JSON) throws(KeyFile.Problem) {
        guard let tower = json["tower"]?.stringValue.flatMap({ TowerID($0) }) else {
            throw KeyFile.Problem(description: "tower: want sixteen hexadecimal digits")
        }
        let parts = ["payload", "payloadAuth", "sessionSeed"].map { key in
            json[key]?.stringValue.flatMap { bytes(fromHex: $0) }
        }
        guard let payload = parts[0], let auth = parts[1], let seed = parts[2],
            seed.count == Handshake.keyLength
        else {
            throw KeyFile.Problem(
                description: "want payload, payloadAuth and sessionSeed in hexadecimal digits")
        }
        self.init(tower: tower, payload: payload, payloadAuth: auth, seed: Secret(seed))
    }
}
