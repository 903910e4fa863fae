namespace Tributary.Log;

/// <summary>
/// Learns from the batches in doubt, in their order, which leader epochs began that were not saved. A batch's epoch is outside of its
/// checksum, so it may be damaged while the rest is whole. Believed is none that is smaller than what is saved for its offset, greater
/// than what anybody can have appointed, or out of order: epochs never fall in a log, and where they do, the side with fewer batches
/// is wrong. Pure.
/// </summary>
internal sealed class EpochRecovery(LeaderEpochs saved, int mostAppointed)
{
    private readonly List<Run> _runs = [];
    private readonly int _most = Math.Max(mostAppointed, saved.Latest);

    /// <summary>Batches whose epoch can't be what they were stored with.</summary>
    public int Impossible { get; private set; }

    /// <summary>Base offset of the first of them, −1 if there are none.</summary>
    public long FirstImpossible { get; private set; } = -1;

    /// <summary>The next batch.</summary>
    public void Add(int epoch, long baseOffset)
    {
        if (epoch < Math.Max(0, saved.At(baseOffset).Epoch) || epoch > _most)
        {
            Disbelieve(1, baseOffset);
        }
        else if (_runs.Count > 0 && _runs[^1].Epoch == epoch)
        {
            _runs[^1] = _runs[^1] with { Batches = _runs[^1].Batches + 1 };
        }
        else
        {
            _runs.Add(new Run(epoch, baseOffset, 1));
        }
    }

    /// <summary>Adds what is believed to the saved epochs.</summary>
    public void Complete()
    {
        for (int i = 0; i + 1 < _runs.Count;)
        {
            (Run left, Run right) = (_runs[i], _runs[i + 1]);
            if (left.Epoch < right.Epoch)
            {
                i++;
                continue;
            }
            if (left.Epoch == right.Epoch)
            {
                _runs[i] = left with { Batches = left.Batches + right.Batches };
                _runs.RemoveAt(i + 1);
            }
            else
            {
                // As many on both sides: too high an epoch would keep everybody from appending, too low a one nobody.
                int wrong = left.Batches <= right.Batches ? i : i + 1;
                Disbelieve(_runs[wrong].Batches, _runs[wrong].BaseOffset);
                _runs.RemoveAt(wrong);
            }
            i = Math.Max(0, i - 1);
        }
        foreach (Run run in _runs)
        {
            saved.Observe(run.Epoch, run.BaseOffset);
        }
    }

    private void Disbelieve(int batches, long baseOffset)
    {
        Impossible += batches;
        FirstImpossible = FirstImpossible < 0 ? baseOffset : Math.Min(FirstImpossible, baseOffset);
    }

    /// <summary>Batches one behind the other that say the same epoch.</summary>
    private readonly record struct Run(int Epoch, long BaseOffset, int Batches);
}
