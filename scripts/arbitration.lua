-- placeholder until the arbitration rules arrive
return {}
