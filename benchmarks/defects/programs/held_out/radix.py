def radix(nums):
    """Sort integers, negative ones too, by their decimal digits."""
    if not nums:
        return []
    shift = min(nums)
    nums = [n - shift for n in nums]
    exp = 1
    top = max(nums)
    while top // exp > 0:
        buckets = [[] for _ in range(10)]
        for n in nums:
            buckets[(n // exp) % 10].append(n)
        nums = [n for bucket in buckets for n in bucket]
        exp *= 10
    return [n + shift for n in nums]
