using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class SaslGolden
{
    public static IEnumerable<GoldenCase> Cases => [.. Handshake, .. Authenticate];

    private static IEnumerable<GoldenCase> Handshake =>
    [
        GoldenCase.Of(0, 1, new SaslHandshakeRequest { Mechanism = "PLAIN" }, new Wire().String("PLAIN")),
        GoldenCase.Of(0, 1,
            new SaslHandshakeResponse { ErrorCode = ErrorCode.UnsupportedSaslMechanism, Mechanisms = ["A", "SCRAM-SHA-256"] },
            new Wire().Int16(33).Array(2).String("A").String("SCRAM-SHA-256")),
    ];

    private static IEnumerable<GoldenCase> Authenticate =>
    [
        GoldenCase.Of(0, 1, new SaslAuthenticateRequest { AuthBytes = new byte[] { 0, 1, 255 } }, new Wire().Int32(3).Hex("00 01 FF")),
        GoldenCase.Of(2, 2, new SaslAuthenticateRequest { AuthBytes = new byte[] { 0, 1, 255 } }, new Wire().Varint(4).Hex("00 01 FF").NoTags()),
        GoldenCase.Of(0, 0,
            new SaslAuthenticateResponse { ErrorCode = ErrorCode.SaslAuthenticationFailed, ErrorMessage = "no" },
            new Wire().Int16(58).String("no").Int32(0)),
        GoldenCase.Of(0, 0, new SaslAuthenticateResponse { ErrorMessage = null, AuthBytes = new byte[] { 7 } }, new Wire().Int16(0).NullString().Int32(1).Hex("07")),
        GoldenCase.Of(1, 1,
            new SaslAuthenticateResponse { ErrorMessage = null, AuthBytes = new byte[] { 7 }, SessionLifetimeMs = 0x0102030405060708 },
            new Wire().Int16(0).NullString().Int32(1).Hex("07").Hex("01 02 03 04 05 06 07 08")),
        GoldenCase.Of(2, 2,
            new SaslAuthenticateResponse { ErrorCode = ErrorCode.IllegalSaslState, ErrorMessage = "no", AuthBytes = new byte[] { 7 }, SessionLifetimeMs = 1 },
            new Wire().Int16(34).CompactString("no").Varint(2).Hex("07").Int64(1).NoTags()),
    ];
}
