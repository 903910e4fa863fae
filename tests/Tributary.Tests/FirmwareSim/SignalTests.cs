using System.Globalization;
using System.Text;
using System.Text.Json;
using Tributary.FirmwareSim.Devices;
using Tributary.FirmwareSim.Signals;
using Xunit;

namespace Tributary.Tests.FirmwareSim;

/// <summary>What simulated sensors say: a pure function of seed, device and time, and possible in this world.</summary>
public sealed class SignalTests
{
    private const double Start = 1_767_225_600; // 1 January 2026
    private const double Day = Curve.Day;

    [Fact]
    public void The_same_seed_device_and_time_give_the_same_reading_whatever_was_asked_before()
    {
        for (int index = 0; index < 8; index++)
        {
            var once = Device.Create(7, index);
            var again = Device.Create(7, index);
            foreach (double at in Times(200).Reverse())
            {
                _ = again.Metrics[0].Read(at);
            }
            foreach (double at in Times(200))
            {
                Assert.Equal(once.Metrics.Select(metric => Text(metric, at)), again.Metrics.Select(metric => Text(metric, at)));
            }
        }
    }

    [Fact]
    public void Another_seed_or_device_gives_other_readings()
    {
        string Story(int seed, int index) => string.Join(' ', Times(50).Select(at => Text(Device.Create(seed, index).Metrics[0], at)));
        string[] stories = [Story(1, 0), Story(2, 0), Story(1, 4), Story(1, 3), Story(1, 7)];
        Assert.Equal(stories.Length, stories.Distinct().Count());
    }

    [Fact]
    public void A_sensor_that_works_stays_within_what_is_possible_and_uses_its_range()
    {
        for (int index = 0; index < 12; index++)
        {
            var device = Device.Create(3, index);
            foreach (ScalarMetric metric in device.Metrics.OfType<ScalarMetric>())
            {
                double[] values = [.. Times(3_000).Select(metric.Value)];
                Assert.All(values, value => Assert.InRange(value, metric.Least, metric.Most));
                Assert.True(values.Max() > values.Min(), $"{device.Name} {metric.Name} never changes");
                int clipped = values.Count(value => value >= metric.Most && metric.Most > 1);
                Assert.True(clipped < 300, $"{device.Name} {metric.Name} is at its greatest value {clipped} of 3000 times");
            }
        }
    }

    [Fact]
    public void A_weather_station_is_warm_in_the_afternoon_and_dark_at_night()
    {
        var station = Device.Create(5, 2);
        var temperature = Scalar(station, "temperature");
        var irradiance = Scalar(station, "irradiance");
        double MeanAt(ScalarMetric metric, double hour) =>
            Enumerable.Range(0, 60).Average(day => metric.Value(Start + (day * Day) + (hour * 3_600)));
        Assert.InRange(MeanAt(temperature, 14) - MeanAt(temperature, 2), 4, 20);
        Assert.Equal(0, MeanAt(irradiance, 23));
        Assert.True(MeanAt(irradiance, 11) > 50);
    }

    [Fact]
    public void A_meter_counts_exactly_the_energy_of_its_power_and_never_backwards()
    {
        var meter = Device.Create(11, 1);
        ScalarMetric power = Scalar(meter, "power");
        ScalarMetric energy = Scalar(meter, "energy");
        const double Step = 60;
        double integral = 0;
        double first = energy.Value(Start);
        for (double at = Start; at < Start + (3 * Day); at += Step)
        {
            Assert.True(energy.Value(at + Step) >= energy.Value(at));
            integral += power.Value(at + (Step / 2)) * Step / 3_600_000;
            Assert.Equal(integral, energy.Value(at + Step) - first, tolerance: 0.001);
        }
        Assert.True(integral > 5);
    }

    [Fact]
    public void A_truck_moves_as_fast_as_it_says_and_its_cargo_warms_up_while_the_door_is_open()
    {
        var truck = Device.Create(2, 3);
        var position = (PositionMetric)truck.Metrics.Single(metric => metric.Name == "position");
        ScalarMetric door = Scalar(truck, "door");
        ScalarMetric cargo = Scalar(truck, "cargo_temperature");
        var open = new List<double>();
        var closed = new List<double>();
        for (double at = Start; at < Start + (4 * Day); at += 120)
        {
            Position here = position.Value(at);
            Position next = position.Value(at + 120);
            double moved = Kilometres(here, next) / 120 * 3_600;
            double mean = (here.Speed + next.Speed) / 2;
            Assert.InRange(here.Speed, 0, 90);
            Assert.True(Math.Abs(moved - mean) < 3 + (0.05 * mean), $"moved at {moved} km/h, said {mean} at {at}");
            (door.Value(at) > 0.5 && door.Value(at - 240) > 0.5 ? open : closed).Add(cargo.Value(at));
            Assert.True(door.Value(at) < 0.5 || here.Speed < 1);
        }
        Assert.True(open.Average() > closed.Average() + 1);
    }

    [Fact]
    public void A_position_is_JSON_and_a_scalar_is_a_number_in_plain_text()
    {
        for (int index = 0; index < 4; index++)
        {
            foreach (Metric metric in Device.Create(1, index).Metrics)
            {
                string text = Times(100).Select(at => Text(metric, at)).First(text => text is not null)!;
                if (metric is PositionMetric)
                {
                    JsonElement json = JsonDocument.Parse(text).RootElement;
                    Assert.InRange(json.GetProperty("lat").GetDouble(), 45, 56);
                    Assert.InRange(json.GetProperty("lon").GetDouble(), 3, 18);
                }
                else
                {
                    Assert.True(double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out _), text);
                }
            }
        }
    }

    [Fact]
    public void Faults_come_about_as_often_as_said_and_last_for_minutes()
    {
        var plan = new FaultPlan(Noise.For(1, 1, "fault"));
        Fault[] faults = [.. Enumerable.Range(0, 400_000).Select(i => plan.At(Start + (i * 20)))];
        int stuckPeriods = faults.Where(fault => fault.Kind == FaultKind.Stuck).Select(fault => fault.Since).Distinct().Count();
        int dropouts = faults.Where(fault => fault.Kind == FaultKind.Dropout).Select(fault => fault.Since).Distinct().Count();
        int hours = 400_000 * 20 / 3_600;
        Assert.InRange(stuckPeriods / (double)hours, FaultPlan.StuckShare / 2, FaultPlan.StuckShare * 2);
        Assert.InRange(dropouts / (double)hours, FaultPlan.DropoutShare / 2, FaultPlan.DropoutShare * 2);
        Assert.InRange(
            faults.Count(fault => fault.Kind == FaultKind.Spike) / 400_000.0, FaultPlan.SpikeShare / 2, FaultPlan.SpikeShare * 2);
    }

    [Fact]
    public void A_stuck_sensor_repeats_itself_one_that_drops_out_is_silent_and_a_spike_is_far_off()
    {
        var plan = new FaultPlan(Noise.For(1, 1, "fault"));
        var metric = new ScalarMetric("m", 0, 100, 3, plan, at => 50 + (40 * Math.Sin(at)));
        var seen = new HashSet<FaultKind>();
        for (double at = Start; at < Start + (200 * Day); at += 30)
        {
            Fault fault = plan.At(at);
            string? text = Text(metric, at);
            seen.Add(fault.Kind);
            switch (fault.Kind)
            {
                case FaultKind.Stuck:
                    Assert.Equal(metric.Value(fault.Since).ToString("F3", CultureInfo.InvariantCulture), text);
                    break;
                case FaultKind.Dropout:
                    Assert.Null(text);
                    break;
                case FaultKind.Spike:
                    Assert.True(double.Parse(text!, CultureInfo.InvariantCulture) > metric.Most);
                    break;
                default:
                    Assert.Equal(metric.Value(at).ToString("F3", CultureInfo.InvariantCulture), text);
                    break;
            }
        }
        Assert.Equal(4, seen.Count);
    }

    [Fact]
    public void Noise_is_even_drift_is_smooth_and_white_noise_has_its_mean_and_deviation()
    {
        var noise = Noise.For(42, 0, "test");
        double[] uniform = [.. Enumerable.Range(0, 10_000).Select(i => noise.Uniform(i))];
        Assert.InRange(uniform.Average(), 0.48, 0.52);
        Assert.All(uniform, value => Assert.InRange(value, 0, 0.9999999999999999));
        double[] white = [.. Enumerable.Range(0, 10_000).Select(i => noise.White(i))];
        Assert.InRange(white.Average(), -0.05, 0.05);
        Assert.InRange(Math.Sqrt(white.Average(value => value * value)), 0.95, 1.05);
        for (double at = Start; at < Start + 10_000; at += 10)
        {
            Assert.InRange(Math.Abs(noise.Smooth(at + 1, 100) - noise.Smooth(at, 100)), 0, 0.031); // slope at most 1.5 × 2 / period
        }
    }

    /// <summary>Times over a year, at all hours.</summary>
    private static IEnumerable<double> Times(int count) =>
        Enumerable.Range(0, count).Select(i => Start + (i * (Curve.Year / count)) + (i * 3_607 % Day));

    private static string? Text(Metric metric, double at) => metric.Read(at) is { } payload ? Encoding.UTF8.GetString(payload) : null;

    private static ScalarMetric Scalar(Device device, string name) => (ScalarMetric)device.Metrics.Single(metric => metric.Name == name);

    private static double Kilometres(Position a, Position b)
    {
        double north = (b.Latitude - a.Latitude) * 111.195;
        double east = (b.Longitude - a.Longitude) * 111.195 * Math.Cos(double.DegreesToRadians((a.Latitude + b.Latitude) / 2));
        return Math.Sqrt((north * north) + (east * east));
    }
}
