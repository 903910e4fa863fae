using Tributary.Edge.Host;
using Tributary.Edge.Status;
using Xunit;

namespace Tributary.Tests.Edge.Status;

/// <summary>What people read, on the page and at a terminal, whatever devices and servers have said.</summary>
public sealed class StatusViewTests
{
    private const string Script = "<script>alert('1')</script>";
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 5, 7, TimeSpan.Zero);

    [Fact]
    public void The_view_says_rates_backlog_link_disk_and_last_errors()
    {
        string text = StatusCommand.ToText(StatusView.Of(EdgeStatusTests.Status, Now)).ReplaceLineEndings("\n");

        Assert.Equal(
            """
            edge-1 (tributary-edge 0.1.0), up for 6.5 s: takes no messages
              ! the disk is full

            Rates
                Messages in                1.5/s, 3 bytes/s of payload
                Acknowledged by the cloud  3.5 records/s
                Sent to the cloud          5 bytes/s
                Since the start            25 messages taken, 74 records acknowledged by the cloud
              ? Refused since the start    31 for want of space, 32 as the disk failed, 30 too large

            Backlog: stored here and not yet acknowledged by the cloud
                Records                    3
                Bytes                      400 bytes
                Oldest                     stored 5.3 s ago

            Link to the cloud
                Cloud                      cloud:9092
                Connection                 connected
                Last ack                   none since the start
                Delivery                   exactly once
                Carried                    up to 73 bytes/s lately
                Cap                        70 bytes/s now

            Disk
              ! Buffer                     21 bytes of 22 bytes
              ! Free                       23 bytes, of which 24 bytes stay free
                Written since the start    210 bytes by all programs to mmcblk0p2, of which the agent 211 bytes
                Write amplification        1.0 bytes to mmcblk0p2 for each byte of payload

            Topics
                telemetry-0                3 records waiting, 400 bytes, the oldest for 5.3 s; sending; 202 given up to make room; 19 refused by the cloud; 20 lost on the way

            MQTT clients
                Connected                  33
                Messages                   37 in, 41 out
                Sessions                   50 kept, 52 messages waiting for them

            Clock
                Time                       known (synchronization), within 1 min 3 s

            Broker that messages are taken from
                Broker                     broker:1883
                Connection                 subscribed
                Messages                   47 came, 46 not acknowledged yet
              ? Waits                      the disk is full
              ? Filters refused            a/#

            Last errors
              ? Routes file                no
              ? 1 min 0 s ago (2026-01-02 03:04:07 UTC) not allowed (62 times)

            """.ReplaceLineEndings("\n"),
            text);
    }

    [Fact]
    public void A_part_that_is_not_known_is_said_to_be_so_and_one_that_there_is_not_is_left_out()
    {
        EdgeStatus status = EdgeStatusTests.Status with
        {
            Wear = new WearStatus(null, null, null, 1, null, "it is on a tmpfs"),
            Source = null,
            Routes = new Tributary.Edge.Status.RoutesStatus(null, []),
            Problems = [],
            Ready = true,
            NotReady = [],
        };
        StatusView view = StatusView.Of(status, Now);

        Assert.Equal(("takes messages", Tone.Good), (view.State, view.Tone));
        Assert.Contains(view.Sections.Single(s => s.Title == "Disk").Rows, row => row.Text == "not known: it is on a tmpfs");
        Assert.DoesNotContain(view.Sections, section => section.Title.StartsWith("Broker", StringComparison.Ordinal));
        Assert.Equal("None", Assert.Single(view.Sections[^1].Rows).Label);
    }

    [Fact]
    public void Nothing_that_others_say_is_markup()
    {
        string html = StatusHtml.Of(StatusView.Of(Hostile(), Now), "0.1.0");

        Assert.DoesNotContain(Script, html, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(6, html.Split("&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;").Length - 1);
        Assert.Equal(1, html.Split("<script").Length - 1);
        Assert.Contains("<script src=\"page.js\" defer></script>", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_that_others_say_controls_a_terminal()
    {
        EdgeStatus status = EdgeStatusTests.Status with
        {
            Problems = [new ProblemStatus(Now, "error", 1, "\u001b[2J\r\nfalse line\u009b1m", 1)],
        };
        string text = StatusCommand.ToText(StatusView.Of(status, Now));

        Assert.Contains(" [2J  false line 1m", text, StringComparison.Ordinal);
        Assert.DoesNotContain(text, c => char.IsControl(c) && c != '\n');
    }

    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(1023, "1023 bytes")]
    [InlineData(1024, "1.0 KiB")]
    [InlineData(1024 * 1024 * 150, "150 MiB")]
    [InlineData(5e15, "4547 TiB")]
    public void Bytes_are_in_the_unit_of_which_there_are_fewest(double bytes, string text) => Assert.Equal(text, Words.Bytes(bytes));

    [Theory]
    [InlineData(0.04, "0.0 s")]
    [InlineData(59.9, "59 s")]
    [InlineData(3599, "59 min 59 s")]
    [InlineData(86399, "23 h 59 min")]
    [InlineData(30 * 86400.0, "30 d 0 h")]
    public void Durations_are_in_their_two_largest_units(double seconds, string text) => Assert.Equal(text, Words.Duration(seconds));

    private static EdgeStatus Hostile()
    {
        EdgeStatus status = EdgeStatusTests.Status;
        return status with
        {
            NotReady = [Script],
            Link = status.Link with { LastError = Script },
            Partitions = [status.Partitions[0] with { Uplink = status.Partitions[0].Uplink with { State = "stopped", Reason = Script } }],
            Source = status.Source! with { LastError = Script },
            Routes = new Tributary.Edge.Status.RoutesStatus(new Tributary.Edge.Routes.RoutesFileStatus("f", 0, 1, Script), []),
            Problems = [new ProblemStatus(Now, "error", 1, Script, 1)],
        };
    }
}
