import AuditChain
import JSONLines
import Testing

@Suite struct AuditChainTests {
    @Test func `the hash is that of the sorted text without the hash itself`() throws {
        let entry: JSONObject = ["n": 1, "b": ["z": "ü", "a": [1, true, .null]], "hash": "x"]
        // printf '%s' '{"b":{"a":[1,true,null],"z":"ü"},"n":1}' | sha256sum
        #expect(
            AuditChain.canonical(.object(entry)).text
                == #"{"b":{"a":[1,true,null],"z":"ü"},"hash":"x","n":1}"#)
        #expect(
            AuditChain.hash(of: entry)
                == AuditChain.digest(#"{"b":{"a":[1,true,null],"z":"ü"},"n":1}"#.utf8))
        // printf abc | sha256sum: the example of FIPS 180-2.
        #expect(
            AuditChain.digest("abc".utf8)
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
