"""The API: FastAPI behind Mangum."""
