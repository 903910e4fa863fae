using Tributary.Contracts.Telemetry;
using Xunit;

namespace Tributary.Tests.Edge.Routes;

/// <summary>Topics as the programs of each convention publish them.</summary>
public sealed class RoutePresetTests
{
    [Theory]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/0x00158d0001dc126a", "0x00158d0001dc126a", "metric=state")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/kitchen/floor_light", "kitchen/floor_light", "metric=state")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/kitchen/floor_light/availability", "kitchen/floor_light", "metric=availability")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/bridge/state", "bridge", "metric=state")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/bridge/response/device/remove", "bridge", "metric=response/device/remove")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/hall/button/action", "hall/button", "metric=action")]
    [InlineData("tasmota", "tele/plug-7/SENSOR", "plug-7", "metric=SENSOR prefix=tele")]
    [InlineData("tasmota", "tele/plug-7/LWT", "plug-7", "metric=LWT prefix=tele")]
    [InlineData("tasmota", "tele/hall/plug-7/STATE", "hall/plug-7", "metric=STATE prefix=tele")]
    [InlineData("tasmota", "stat/plug-7/POWER1", "plug-7", "metric=POWER1 prefix=stat")]
    [InlineData("tasmota", "plug-7/tele/SENSOR", "plug-7", "metric=SENSOR prefix=tele")]
    [InlineData("tasmota", "plug-7/stat/RESULT", "plug-7", "metric=RESULT prefix=stat")]
    [InlineData("homie5", "homie/5/super-car/engine/temperature", "super-car", "node=engine property=temperature")]
    [InlineData("homie5", "homie/5/super-car/engine/temperature/$target", "super-car", "node=engine property=temperature attribute=$target")]
    [InlineData("homie5", "homie/5/super-car/$state", "super-car", "attribute=$state")]
    [InlineData("homie5", "homie/5/super-car/$description", "super-car", "attribute=$description")]
    [InlineData("homie5", "homie/5/super-car/$log/warn", "super-car", "attribute=$log/warn")]
    [InlineData("homie5", "homie/5/super-car/$alert/door", "super-car", "attribute=$alert/door")]
    [InlineData("homie5", "homie/5/$broadcast/alert", "$broadcast", "attribute=alert")]
    [InlineData("homie5", "homie/5/$broadcast/security/alert", "$broadcast", "attribute=security/alert")]
    [InlineData("homie5", "homie/5/$broadcast/security/alert/set", "$broadcast", "attribute=security/alert/set")]
    [InlineData("sparkplug_b", "spBv1.0/Plant/NBIRTH/gw1", "Plant/gw1", "group=Plant type=NBIRTH node=gw1")]
    [InlineData("sparkplug_b", "spBv1.0/Plant/NDEATH/gw1", "Plant/gw1", "group=Plant type=NDEATH node=gw1")]
    [InlineData("sparkplug_b", "spBv1.0/Plant/DDATA/gw1/pump", "Plant/gw1/pump", "group=Plant type=DDATA node=gw1 device=pump")]
    [InlineData("sparkplug_b", "spBv1.0/STATE/scada", "scada", "type=STATE")]
    [InlineData("sparkplug_b", "STATE/scada", "scada", "type=STATE")]
    [InlineData("senml", "senml/greenhouse/1", "(client)", "channel=greenhouse/1")]
    public void A_device_is_the_key(string preset, string topic, string key, string headers) => Assert.Equal(
        $"cloud {key} mqtt.topic={topic} {headers} edge=e",
        RoutesFileTests.Describe(RoutesFileTests.Parse($$"""{ "routes": [ { "preset": "{{preset}}", "topic": "cloud" } ] }"""), topic));

    [Theory]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/kitchen/floor_light/set")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/lamp/set/state")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/lamp/get")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/lamp/get/state")]
    [InlineData("zigbee2mqtt", "zigbee2mqtt/bridge/request/permit_join")]
    [InlineData("tasmota", "cmnd/plug-7/POWER")]
    [InlineData("tasmota", "cmnd/tasmotas/Status")]
    [InlineData("tasmota", "plug-7/cmnd/POWER")]
    [InlineData("homie5", "homie/5/super-car/engine/temperature/set")]
    [InlineData("sparkplug_b", "spBv1.0/Plant/NCMD/gw1")]
    [InlineData("sparkplug_b", "spBv1.0/Plant/DCMD/gw1/pump")]
    public void A_command_is_not_stored(string preset, string topic) => Assert.Equal(
        "(nowhere)", RoutesFileTests.Describe(RoutesFileTests.Parse($$"""{ "routes": [ { "preset": "{{preset}}" } ] }"""), topic));

    [Theory]
    [InlineData("zigbee2mqtt", "zigbee2mqtt")]
    [InlineData("tasmota", "tasmota/discovery/600194F1A4B0/config")]
    [InlineData("homie5", "homie/4/super-car/$state")]
    [InlineData("sparkplug_b", "spAv1.0/Plant/NDATA/gw1")]
    [InlineData("senml", "other/senml")]
    public void Other_topics_are_left_to_other_routes(string preset, string topic) => Assert.Equal(
        $"unrouted (client) mqtt.topic={topic} edge=e",
        RoutesFileTests.Describe(RoutesFileTests.Parse($$"""{ "routes": [ { "preset": "{{preset}}" } ] }"""), topic));

    [Fact]
    public void A_preset_has_another_base_and_name_and_stands_beside_another_of_its_kind()
    {
        RouteTable table = RoutesFileTests.Parse(
            """
            { "routes": [
              { "preset": "zigbee2mqtt", "name": "upstairs", "base": "home/z2m-up" },
              { "preset": "zigbee2mqtt", "topic": "down" },
              { "preset": "tasmota", "base": "home" },
              { "preset": "sparkplug_b", "name": "here" },
              { "preset": "sparkplug_b", "name": "there", "base": "site/spBv1.0" }
            ] }
            """);

        Assert.Equal("telemetry lamp mqtt.topic=home/z2m-up/lamp metric=state edge=e", RoutesFileTests.Describe(table, "home/z2m-up/lamp"));
        Assert.Equal("down lamp mqtt.topic=zigbee2mqtt/lamp metric=state edge=e", RoutesFileTests.Describe(table, "zigbee2mqtt/lamp"));
        Assert.Equal("telemetry p mqtt.topic=home/tele/p/STATE metric=STATE prefix=tele edge=e", RoutesFileTests.Describe(table, "home/tele/p/STATE"));
        Assert.Equal("telemetry p mqtt.topic=home/p/tele/STATE metric=STATE prefix=tele edge=e", RoutesFileTests.Describe(table, "home/p/tele/STATE"));
        Assert.Equal("there", table.Resolve("site/spBv1.0/STATE/h"u8, "e").Route!.Name);
        Assert.Equal("here", table.Resolve("STATE/h"u8, "e").Route!.Name);
        Assert.Equal(
            ["here", "here.commands", "tasmota", "tasmota.commands", "there", "there.commands", "upstairs", "upstairs.commands", "zigbee2mqtt", "zigbee2mqtt.commands"],
            table.Routes.Select(route => route.Name).Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Births_and_data_of_Sparkplug_have_the_time_of_their_payload_and_what_may_be_a_will_that_of_its_arrival()
    {
        RouteTable table = RoutesFileTests.Parse("""{ "routes": [ { "preset": "sparkplug_b" } ] }""");
        Assert.Equal(TimeFormat.SparkplugB, table.Resolve("spBv1.0/g/NDATA/n"u8, "e").Route!.Timestamp!.Format);
        Assert.Equal(TimeFormat.SparkplugB, table.Resolve("spBv1.0/g/DBIRTH/n/d"u8, "e").Route!.Timestamp!.Format);
        Assert.Null(table.Resolve("spBv1.0/STATE/h"u8, "e").Route!.Timestamp);
        Assert.Null(table.Resolve("spBv1.0/g/NDEATH/n"u8, "e").Route!.Timestamp);
    }
}
