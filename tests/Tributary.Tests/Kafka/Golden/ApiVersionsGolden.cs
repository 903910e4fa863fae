using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class ApiVersionsGolden
{
    public static IEnumerable<GoldenCase> Cases =>
    [
        GoldenCase.Of(0, 2, new ApiVersionsRequest(), new Wire()),
        GoldenCase.Of(3, 4,
            new ApiVersionsRequest { ClientSoftwareName = "librdkafka", ClientSoftwareVersion = "2.16.0" },
            new Wire().CompactString("librdkafka").CompactString("2.16.0").NoTags()),
        GoldenCase.Of(0, 0,
            new ApiVersionsResponse { ErrorCode = ErrorCode.UnsupportedVersion, ApiKeys = Keys() },
            new Wire()
                .Int16(35)
                .Array(2)
                .Int16(0).Int16(3).Int16(11)
                .Int16(18).Int16(1).Int16(4)),
        GoldenCase.Of(1, 2,
            new ApiVersionsResponse { ErrorCode = ErrorCode.None, ApiKeys = Keys(), ThrottleTimeMs = 77 },
            new Wire()
                .Int16(0)
                .Array(2)
                .Int16(0).Int16(3).Int16(11)
                .Int16(18).Int16(1).Int16(4)
                .Int32(77)),
        GoldenCase.Of(3, 4,
            new ApiVersionsResponse { ErrorCode = ErrorCode.None, ApiKeys = Keys(), ThrottleTimeMs = 77 },
            new Wire()
                .Int16(0)
                .CompactArray(2)
                .Int16(0).Int16(3).Int16(11).NoTags()
                .Int16(18).Int16(1).Int16(4).NoTags()
                .Int32(77)
                .NoTags()),
        GoldenCase.Of(3, 4,
            new ApiVersionsResponse
            {
                ErrorCode = ErrorCode.None,
                SupportedFeatures = [new() { Name = "metadata.version", MinVersion = 1, MaxVersion = 21 }],
                FinalizedFeaturesEpoch = 0x0102030405060708,
                FinalizedFeatures = [new() { Name = "group.version", MaxVersionLevel = 2, MinVersionLevel = 1 }],
                ZkMigrationReady = true,
            },
            new Wire()
                .Int16(0)
                .CompactArray(0)
                .Int32(0)
                .Tags(
                    (0, new Wire().CompactArray(1).CompactString("metadata.version").Int16(1).Int16(21).NoTags()),
                    (1, new Wire().Hex("01 02 03 04 05 06 07 08")),
                    (2, new Wire().CompactArray(1).CompactString("group.version").Int16(2).Int16(1).NoTags()),
                    (3, new Wire().Int8(1)))),
    ];

    private static ApiVersionsResponse.ApiVersion[] Keys() =>
    [
        new() { ApiKey = 0, MinVersion = 3, MaxVersion = 11 },
        new() { ApiKey = 18, MinVersion = 1, MaxVersion = 4 },
    ];
}
