namespace Tributary.Broker.Groups.Modern;

/// <summary>
/// Takes a member one step towards its target. It gives up first what it shall not have, in the epoch that it is in; only when it has, or
/// if it had nothing to give up, it comes into the epoch of the target and gets what nobody else has. So a partition has one owner at any
/// time, and nobody who has to give something up holds up those who have not. Pure but for the member.
/// </summary>
internal static class Reconciliation
{
    /// <summary>Takes the step.</summary>
    /// <param name="member">The member; its target is of <paramref name="targetEpoch"/>.</param>
    /// <param name="targetEpoch">The group's epoch that the targets are of.</param>
    /// <param name="owned">What the member says that it has, null if it does not say.</param>
    /// <param name="isFree">Whether nobody may use a partition or has it still to give up.</param>
    /// <returns>Whether anything has changed.</returns>
    public static bool Advance(
        ModernMember member, int targetEpoch, HashSet<AssignedPartition>? owned, Func<AssignedPartition, bool> isFree)
    {
        switch (member.State)
        {
            case MemberState.Stable when member.Epoch == targetEpoch:
                return false;
            case MemberState.Revoking when HasAnyOf(member.Revoking, owned):
                return GiveUpMore(member);
            default:
                return Next(member, targetEpoch, owned, isFree);
        }
    }

    private static bool HasAnyOf(HashSet<AssignedPartition> partitions, HashSet<AssignedPartition>? owned) =>
        owned is null ? partitions.Count > 0 : partitions.Overlaps(owned);

    /// <summary>The target has changed while the member gives something up: what it shall not have now either joins that.</summary>
    private static bool GiveUpMore(ModernMember member)
    {
        HashSet<AssignedPartition> more = [.. member.Assigned.Where(partition => !member.Target.Contains(partition))];
        if (more.Count == 0)
        {
            return false;
        }
        member.Assigned = [.. member.Assigned.Where(partition => !more.Contains(partition))];
        member.Revoking = [.. member.Revoking, .. more];
        return true;
    }

    private static bool Next(ModernMember member, int targetEpoch, HashSet<AssignedPartition>? owned, Func<AssignedPartition, bool> isFree)
    {
        HashSet<AssignedPartition> kept = [.. member.Assigned.Where(member.Target.Contains)];
        HashSet<AssignedPartition> unwanted = [.. member.Assigned.Where(partition => !kept.Contains(partition))];
        if (unwanted.Count > 0 && HasAnyOf(unwanted, owned))
        {
            (member.State, member.Assigned, member.Revoking) = (MemberState.Revoking, kept, unwanted);
            return true;
        }
        bool waits = false;
        int before = kept.Count;
        foreach (AssignedPartition partition in member.Target)
        {
            // What the member itself has just given up is free, though it is on the books as its own.
            bool isToBeHad = isFree(partition) || member.Revoking.Contains(partition);
            waits |= !kept.Contains(partition) && !isToBeHad;
            if (isToBeHad)
            {
                kept.Add(partition);
            }
        }
        MemberState state = waits ? MemberState.Waiting : MemberState.Stable;
        bool isSame = member.State == state && member.Epoch == targetEpoch && unwanted.Count == 0 && kept.Count == before;
        if (isSame)
        {
            return false;
        }
        if (member.Epoch != targetEpoch)
        {
            (member.PreviousEpoch, member.Epoch) = (member.Epoch, targetEpoch);
        }
        (member.State, member.Assigned, member.Revoking) = (state, kept, []);
        return true;
    }
}
