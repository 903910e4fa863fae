using System.Collections.Immutable;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Finds the latest snapshot of producers from which the recovered log goes on, and removes those that can't be used. What the log has behind
/// it (<see cref="Manifest.RecoveryOffset"/>) is still to be added.
/// </summary>
internal sealed class ProducerRecovery(PartitionFiles files, string name, RecoveredLog log, ILogEvents events)
{
    /// <param name="manifest">What the partition knows of itself.</param>
    /// <param name="status">Whether that can be believed.</param>
    /// <param name="names">The files.</param>
    public void Run(Manifest manifest, StateStatus status, IReadOnlyList<string> names)
    {
        ImmutableArray<SnapshotPoint> known = status == StateStatus.Ok ? manifest.Snapshots : SnapshotsByName(names);
        ImmutableArray<SnapshotPoint> usable = [];
        for (int i = known.Length - 1; i >= 0; i--)
        {
            SnapshotPoint point = known[i];
            if (point.Offset <= log.End && TryLoad(point))
            {
                usable = known[..(i + 1)];
                break;
            }
        }
        foreach (string file in names)
        {
            if (LogFiles.IsProducers(file, out long offset) && !usable.Any(point => point.Offset == offset && point.Producers > 0))
            {
                files.Storage.Delete($"{files.Directory}/{file}");
            }
        }
        log.NeedsSave |= usable.Length != manifest.Snapshots.Length;
        log.Manifest = manifest with { Snapshots = usable };
    }

    /// <summary>Without a manifest, the files say what they are.</summary>
    private static ImmutableArray<SnapshotPoint> SnapshotsByName(IReadOnlyList<string> names) =>
    [
        .. names.Select(file => LogFiles.IsProducers(file, out long offset) ? offset : -1)
            .Where(offset => offset >= 0).Order().Select(offset => new SnapshotPoint(offset, 1)),
    ];

    private bool TryLoad(SnapshotPoint point)
    {
        if (point.Producers == 0 || ProducerSnapshot.Load(files.Storage, files.Directory, point.Offset, log.Producers) == StateStatus.Ok)
        {
            return true;
        }
        log.Producers.Clear();
        events.Report(new LogEvent(
            LogEventKind.Rebuilt, name, point.Offset, log.End, $"{name}: the producer snapshot at offset {point.Offset} is damaged or missing; "
            + "an older one, or nothing, and the log since then take its place"));
        return false;
    }
}
