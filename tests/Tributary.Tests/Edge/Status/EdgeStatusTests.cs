using System.Text.Json;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Routes;
using Tributary.Edge.Source;
using Tributary.Edge.Status;
using Xunit;

namespace Tributary.Tests.Edge.Status;

public sealed class EdgeStatusTests
{
    private static readonly BacklogStatus Backlog = new(3, 400, 5.25);

    /// <summary>A page with all there can be.</summary>
    internal static EdgeStatus Status { get; } = new(
        "edge-1", "0.1.0", new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), 6.5, false, ["the disk is full"],
        new LinkStatus("cloud:9092", true, "cluster", "exactlyOnce", null, null, 7, 8, 74, 9, 70, 71, 72, 73), new RateStatus(10, 1.5, 2.5, 3.5, 4.5),
        Backlog,
        [
            new PartitionStatus(
                "telemetry", 0, 10, 11, 14, 15, Backlog, 16, 202, null, new UplinkStatus(6, "sending", null, 17, 18, 19, 20, 200, 201, "exactlyOnce")),
        ],
        new DiskStatus(21, 22, 23, 24, "the disk is full"),
        new WearStatus("mmcblk0p2", 210, 211, 212, 0.99, null),
        new IngestStatus(25, 26, 27, 28, 29, new RefusedStatus(30, 31, 32)),
        new MqttStatus(33, 34, new Dictionary<string, long> { ["idle"] = 35 }, 36, 37, 38, 39, 40, new Dictionary<string, long>(), 41, 42,
            new SessionCounts(50, 51, 52, 53, 54, 55, 56, null)),
        new EventsStatus(
            new Dictionary<string, long> { ["hole"] = 43 },
            [new EventStatus(new DateTimeOffset(2026, 1, 2, 3, 4, 6, TimeSpan.Zero), "hole", "telemetry-0", 44, 45, "damaged")]),
        new SourceStatus("broker:1883", true, ["a/#"], null, "the disk is full", 46, 47, 48, 49, 50, new Dictionary<string, long> { ["tooLarge"] = 51 }),
        new RoutesStatus(new RoutesFileStatus("routes.json", 52, 53, "no"), [new RouteCounts("pumps", 54, 55, 56, 57, 58, 59, 60, 61)]),
        [new ProblemStatus(new DateTimeOffset(2026, 1, 2, 3, 4, 7, TimeSpan.Zero), "warning", 106, "not allowed", 62)],
        new ClockStatus(
            true, "synchronization", new DateTimeOffset(2026, 1, 2, 3, 4, 7, TimeSpan.Zero), new DateTimeOffset(2026, 1, 2, 3, 4, 8, TimeSpan.Zero), 62.5,
            false, 63.5, Guid.Parse("00000000-0000-0000-0000-000000000064"), 65.5, 66, 67.5, 68, 69, 80, 81, null));

    /// <summary>What scripts and dashboards of users read: a name changes only with a note in the changelog.</summary>
    [Fact]
    public void The_status_page_has_these_names()
    {
        string json = JsonSerializer.Serialize(Status, EdgeStatusJson.Default.EdgeStatus);

        Assert.Equal(
            """
            {
              "id": "edge-1",
              "version": "0.1.0",
              "startedAt": "2026-01-02T03:04:05+00:00",
              "uptimeSeconds": 6.5,
              "ready": false,
              "notReady": [
                "the disk is full"
              ],
              "link": {
                "cloud": "cloud:9092",
                "connected": true,
                "clusterId": "cluster",
                "promise": "exactlyOnce",
                "lastError": null,
                "lastAck": null,
                "requests": 7,
                "bytesSent": 8,
                "acknowledged": 74,
                "retries": 9,
                "capBytesPerSecond": 70,
                "inFlightBytes": 71,
                "windowBytes": 72,
                "rateBytesPerSecond": 73
              },
              "rates": {
                "overSeconds": 10,
                "messages": 1.5,
                "payloadBytes": 2.5,
                "acknowledged": 3.5,
                "sentBytes": 4.5
              },
              "backlog": {
                "records": 3,
                "bytes": 400,
                "ageSeconds": 5.25
              },
              "partitions": [
                {
                  "topic": "telemetry",
                  "partition": 0,
                  "startOffset": 10,
                  "ackedOffset": 11,
                  "flushedOffset": 14,
                  "appendedOffset": 15,
                  "backlog": {
                    "records": 3,
                    "bytes": 400,
                    "ageSeconds": 5.25
                  },
                  "sizeBytes": 16,
                  "droppedRecords": 202,
                  "offline": null,
                  "uplink": {
                    "priority": 6,
                    "state": "sending",
                    "reason": null,
                    "producerId": 17,
                    "producerEpoch": 18,
                    "refused": 19,
                    "gapRecords": 20,
                    "conflicts": 200,
                    "mayRepeat": 201,
                    "promise": "exactlyOnce"
                  }
                }
              ],
              "disk": {
                "usedBytes": 21,
                "maxBytes": 22,
                "freeBytes": 23,
                "minFreeBytes": 24,
                "full": "the disk is full"
              },
              "wear": {
                "device": "mmcblk0p2",
                "deviceBytes": 210,
                "agentBytes": 211,
                "payloadBytes": 212,
                "amplification": 0.99,
                "reason": null
              },
              "ingest": {
                "messages": 25,
                "payloadBytes": 26,
                "batches": 27,
                "lost": 28,
                "gatheredBytes": 29,
                "refused": {
                  "tooLarge": 30,
                  "full": 31,
                  "offline": 32
                }
              },
              "mqtt": {
                "connections": 33,
                "connectionsAccepted": 34,
                "connectionsClosed": {
                  "idle": 35
                },
                "subscriptions": 36,
                "messagesIn": 37,
                "bytesIn": 38,
                "messagesAcknowledged": 39,
                "messagesRefused": 40,
                "messagesDropped": {},
                "messagesOut": 41,
                "bytesOut": 42,
                "sessions": {
                  "sessions": 50,
                  "connected": 51,
                  "queuedMessages": 52,
                  "queuedBytes": 53,
                  "retained": 54,
                  "retainedBytes": 55,
                  "journalBytes": 56,
                  "unavailable": null
                }
              },
              "events": {
                "counts": {
                  "hole": 43
                },
                "latest": [
                  {
                    "at": "2026-01-02T03:04:06+00:00",
                    "kind": "hole",
                    "partition": "telemetry-0",
                    "fromOffset": 44,
                    "toOffset": 45,
                    "message": "damaged"
                  }
                ]
              },
              "source": {
                "broker": "broker:1883",
                "connected": true,
                "refused": [
                  "a/#"
                ],
                "lastError": null,
                "waits": "the disk is full",
                "inFlight": 46,
                "received": 47,
                "acknowledged": 48,
                "connections": 49,
                "sessionsLost": 50,
                "dropped": {
                  "tooLarge": 51
                }
              },
              "routes": {
                "file": {
                  "file": "routes.json",
                  "reloads": 52,
                  "refused": 53,
                  "lastError": "no"
                },
                "messages": [
                  {
                    "name": "pumps",
                    "stored": 54,
                    "dropped": 55,
                    "sampled": 56,
                    "deadband": 57,
                    "unrouted": 58,
                    "timestampFallbacks": 59,
                    "keyFallbacks": 60,
                    "propertiesLeftOut": 61
                  }
                ]
              },
              "problems": [
                {
                  "at": "2026-01-02T03:04:07+00:00",
                  "level": "warning",
                  "event": 106,
                  "message": "not allowed",
                  "count": 62
                }
              ],
              "clock": {
                "trusted": true,
                "by": "synchronization",
                "since": "2026-01-02T03:04:07+00:00",
                "time": "2026-01-02T03:04:08+00:00",
                "errorSeconds": 62.5,
                "synchronized": false,
                "deviceOffsetSeconds": 63.5,
                "bootId": "00000000-0000-0000-0000-000000000064",
                "sinceBootSeconds": 65.5,
                "jumps": 66,
                "lastJumpSeconds": 67.5,
                "waiting": 68,
                "corrected": 69,
                "estimated": 80,
                "untrusted": 81,
                "saveError": null
              }
            }
            """,
            json);
        Assert.Equal(json, JsonSerializer.Serialize(JsonSerializer.Deserialize(json, EdgeStatusJson.Default.EdgeStatus)!, EdgeStatusJson.Default.EdgeStatus));
    }
}
