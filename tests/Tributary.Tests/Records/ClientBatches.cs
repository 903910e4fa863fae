using Tributary.Contracts.Records;

namespace Tributary.Tests.Records;

/// <summary>
/// Record batches as librdkafka 2.0.2 put them into Produce requests: an idempotent producer, 13 records with keys d0, d1, d2, d0 …
/// and values 20.0, 20.1 … 21.1, the last with key d9 and no value; each with headers mqtt.topic=devices/d1/temperature and edge=e1.
/// </summary>
internal static class ClientBatches
{
    public const int RecordCount = 13;

    /// <summary>Of the uncompressed batch.</summary>
    public const long Timestamp = 0x1A214E8E788;

    /// <summary>Of the uncompressed batch.</summary>
    public const long ProducerId = 0x12C76B38;

    private static readonly Dictionary<CompressionCodec, string> Base64 = new()
    {
        [CompressionCodec.None] = """
            AAAAAAAAAAAAAAL4AAAAAALYLQWvAAAAAAAMAAABohTo54gAAAGiFOjniAAAAAASx2s4AAAAAAAAAAAADWwAAAAEZDAIMjAuMAQUbXF0dC50b3BpYyxkZX
            ZpY2VzL2QxL3RlbXBlcmF0dXJlCGVkZ2UEZTFsAAACBGQxCDIwLjEEFG1xdHQudG9waWMsZGV2aWNlcy9kMS90ZW1wZXJhdHVyZQhlZGdlBGUxbAAABARk
            MggyMC4yBBRtcXR0LnRvcGljLGRldmljZXMvZDEvdGVtcGVyYXR1cmUIZWRnZQRlMWwAAAYEZDAIMjAuMwQUbXF0dC50b3BpYyxkZXZpY2VzL2QxL3RlbX
            BlcmF0dXJlCGVkZ2UEZTFsAAAIBGQxCDIwLjQEFG1xdHQudG9waWMsZGV2aWNlcy9kMS90ZW1wZXJhdHVyZQhlZGdlBGUxbAAACgRkMggyMC41BBRtcXR0
            LnRvcGljLGRldmljZXMvZDEvdGVtcGVyYXR1cmUIZWRnZQRlMWwAAAwEZDAIMjAuNgQUbXF0dC50b3BpYyxkZXZpY2VzL2QxL3RlbXBlcmF0dXJlCGVkZ2
            UEZTFsAAAOBGQxCDIwLjcEFG1xdHQudG9waWMsZGV2aWNlcy9kMS90ZW1wZXJhdHVyZQhlZGdlBGUxbAAAEARkMggyMC44BBRtcXR0LnRvcGljLGRldmlj
            ZXMvZDEvdGVtcGVyYXR1cmUIZWRnZQRlMWwAABIEZDAIMjAuOQQUbXF0dC50b3BpYyxkZXZpY2VzL2QxL3RlbXBlcmF0dXJlCGVkZ2UEZTFsAAAUBGQxCD
            IxLjAEFG1xdHQudG9waWMsZGV2aWNlcy9kMS90ZW1wZXJhdHVyZQhlZGdlBGUxbAAAFgRkMggyMS4xBBRtcXR0LnRvcGljLGRldmljZXMvZDEvdGVtcGVy
            YXR1cmUIZWRnZQRlMWQAABgEZDkBBBRtcXR0LnRvcGljLGRldmljZXMvZDEvdGVtcGVyYXR1cmUIZWRnZQRlMQ==
            """,
        [CompressionCodec.Gzip] = """
            AAAAAAAAAAAAAADNAAAAAAKbMePEAAEAAAAMAAABohTo6bgAAAGiFOjpuAAAAAAoVYQIAAAAAAAAAAAADR+LCAAAAAAAAAOV0m0KglAQRuEphpCIiJBoEa
            F3bp8uJ5xBBCWzW+sPZTbwLuCB8+N0RMQashiKwHn/TqlIr6GtT2q/trZPqVIm6wcbn+k7WmbaGJt0REtWmZhgjFnjxCLGVh55xljmkReMrT3yirGNR94w
            tvXIO8Z2HvnA2N4jK4zlc6SglxzmSIEuUaIja7UAyB9fI1TpxwIAAA==
            """,
        [CompressionCodec.Snappy] = """
            AAAAAAAAAAAAAADmAAAAAAIyEZ1tAAIAAAAMAAABohTo6+EAAAGiFOjr4QAAAAAi1SUQAAAAAAAAAAAADccF8ERsAAAABGQwCDIwLjAEFG1xdHQudG9waW
            MsZGV2aWNlcy9kMS90ZW1wZXJhdHVyZQhlZGdlBGUxbAAAAgRkMQgyMC4xBBSuNwAMBARkMgFuADK2NwAABg2lADO2NwAACA2lADS2NwAACg2lADW2NwAA
            DA2lADa2NwAADg2lADe2NwAAEA2lADi2NwAAEg2lADm2NwAAFAWlADG+JgIAFgWlADGyJgIcZAAAGARkOQGqoQA=
            """,
        [CompressionCodec.Lz4] = """
            AAAAAAAAAAAAAAD2AAAAAAJzB2SZAAMAAAAMAAABohTo7gsAAAGiFOjuCwAAAAASyK9wAAAAAAAAAAAADQQiTRhgQIK2AAAA8C9sAAAABGQwCDIwLjAEFG
            1xdHQudG9waWMsZGV2aWNlcy9kMS90ZW1wZXJhdHVyZQhlZGdlBGUxbAAAAgRkMTcAHzE3ABtABARkMjcAHzI3ABsTBqUAHzM3ABsTCKUAHzQ3ABsTCqUA
            HzU3ABsTDKUAHzY3ABsTDqUAHzc3ABsTEKUAHzg3ABsTEqUAHzk3ABsRFKUAHzEmAh0RFqUAHzEmAhqPZAAAGARkOQGhABNQZ2UEZTEAAAAA
            """,
        [CompressionCodec.Zstd] = """
            AAAAAAAAAAAAAADMAAAAAAIiBP8vAAQAAAAMAAABohTo8EkAAAGiFOjwSQAAAAAVbvQoAAAAAAAAAAAADSi1L/0AWJUEACLGFhxgbzpL+riD1iQEgiBFsE
            Zxy74NcnEoCNEhjCEDgMaYuLMiVDUHiOFRcBAaA0YuBK0ZURdrqcbAHaTHS/z8ZNnIdCn6Mmqmcue53ArnkSa7dimRQrZYS2a8OygWAFhlsinEMPklSClE
            HGjZwAhwb2AYcGVgDrhsYAS4NzAMuDIwB1w2GEEZ9wbGwJrD2lRn
            """,
    };

    public static byte[] Of(CompressionCodec codec) => Convert.FromBase64String(Base64[codec]);

    public static string Key(int index) => index == RecordCount - 1 ? "d9" : $"d{index % 3}";

    /// <summary>Null for none.</summary>
    public static string? Value(int index) => index == RecordCount - 1 ? null : $"{(200 + index) / 10}.{(200 + index) % 10}";
}
