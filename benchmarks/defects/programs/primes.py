def primes_to(limit):
    """All primes up to and with the limit."""
    found = []
    for number in range(2, limit + 1):
        if all(number % prime != 0 for prime in found):
            found.append(number)
    return found


def factors(number):
    """The prime factors, smallest first."""
    for divisor in range(2, int(number**0.5) + 1):
        if number % divisor == 0:
            return [divisor] + factors(number // divisor)
    return [number] if number > 1 else []


def crossed_out(limit):
    """Primes below the limit, by crossing out multiples."""
    prime = [True] * limit
    for number in range(2, limit):
        if prime[number]:
            for multiple in range(number * number, limit, number):
                prime[multiple] = False
    return [number for number in range(2, limit) if prime[number]]
