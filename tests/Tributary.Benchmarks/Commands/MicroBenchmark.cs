using System.CommandLine;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Commands;

/// <summary>The parts of the hot paths by themselves, with BenchmarkDotNet.</summary>
internal static class MicroBenchmark
{
    public static Command Create()
    {
        Option<string> filter = Options.Value("--filter", "Which, by a glob over Class.Method", "*");
        Option<bool> quick = Options.Value("--quick", "One run of each, to see that they work", false);
        var command = new Command("micro", "Checksum, batches, routes and compression by themselves (BenchmarkDotNet)") { filter, quick };
        command.SetAction(parsed =>
        {
            Console.WriteLine(Machine.Describe(Programs.Root));
            Job job = parsed.GetValue(quick) ? Job.Dry : Job.ShortRun;
            IConfig config = ManualConfig.CreateEmpty()
                .AddJob(job.WithToolchain(InProcessEmitToolchain.Instance))
                .AddColumnProvider(DefaultColumnProviders.Instance)
                .AddDiagnoser(MemoryDiagnoser.Default)
                .AddLogger(ConsoleLogger.Default)
                .WithArtifactsPath(Path.Combine(Programs.Root, "artifacts", "benchmarks", "micro"));
            BenchmarkSwitcher.FromAssembly(typeof(MicroBenchmark).Assembly).Run(["--filter", parsed.GetValue(filter)!], config);
        });
        return command;
    }
}
